package transaction

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestCleanMeanwhile cleans at the moment when a native load has pinned its chain and has not put
// it on the interface yet. libxdp doesn't hold the lock then.
func TestCleanMeanwhile(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	guard := fixture("flood", "guard")
	commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{guard}})
	moments := 0
	// On a busy machine a load may go on before it was looked at.
	for delay := aMoment; moments == 0 && delay < time.Minute; delay *= 4 {
		for n := 1; ; n++ {
			p := startDelayed(t, n, delay, native, "load", v.Name, fixture("verdicts", "").File, "-n", "v_pass")
			held := p.await(t)
			if held {
				dirs := len(glob(t, "/sys/fs/bpf/xdp/dispatch-*"))
				cleaned, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{})
				must(t, err)
				if dirs > 1 && len(cleaned.Kept) > 0 {
					moments++
					if len(cleaned.Kept) != 1 || !strings.Contains(cleaned.Kept[0].Process, "("+native+")") {
						t.Errorf("cleaned %+v", cleaned)
					}
				}
			}
			p.End(t, 0)
			checkPins(t, v)
			if passed := v.Deliver(t, padded(frame(marked))); len(passed) != 0 {
				t.Error("a packet got past the guard")
			}
			must(t, dispatcher.Detach(t.Context(), v.Name, find(t, status(t, v.Name), "v_pass"), dispatcher.DetachOptions{}))
			if !held {
				break
			}
		}
	}
	if moments == 0 {
		t.Error("no load was held between its pins and the interface")
	}
	unload(t, v.Name)
}

// aMoment is long enough for most looks at a command that is held up.
const aMoment = 1500 * time.Millisecond

// delayed is a command of which strace(1) holds up each thread at its nth message to the
// kernel.
type delayed struct {
	*harness.Process
	trace *harness.Output
	n     int
	held  int // threads that await has told of
}

func startDelayed(t *testing.T, n int, delay time.Duration, command ...string) *delayed {
	t.Helper()
	p, trace := harness.StartStraced(t, []string{"--seccomp-bpf", "-e", "trace=sendto",
		"-e", fmt.Sprintf("inject=sendto:delay_enter=%d:when=%d", delay.Microseconds(), n)}, command...)
	return &delayed{Process: p, trace: trace, n: n}
}

var sendtoRE = regexp.MustCompile(`(?m)^([0-9]+) +sendto\(`)

// await waits until the next thread is held up. It returns false if the command ends before.
func (d *delayed) await(t *testing.T) bool {
	t.Helper()
	return d.trace.Until(t, func(all string) bool {
		held, messages := 0, map[string]int{}
		for _, call := range sendtoRE.FindAllStringSubmatch(all, -1) {
			if messages[call[1]]++; messages[call[1]] == d.n {
				held++
			}
		}
		if held == d.held {
			return false
		}
		d.held = held
		return true
	})
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	must(t, err)
	return paths
}

// Package rehearse runs rehearsals and a chain's own tests on a real kernel.
package rehearse

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/rehearse"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// attach loads programs as the command does, with a record of each.
func attach(t testing.TB, ifname string, programs ...xdp.Program) []dispatcher.Component {
	t.Helper()
	a, err := dispatcher.Attach(t.Context(), ifname, programs, dispatcher.AttachOptions{RequireDispatcher: true, BeforeSwap: desired.Record})
	if err != nil {
		t.Fatalf("%v (%s)", err, dispatcher.VerifierLog(err))
	}
	return a.Programs
}

// fixture is a program of the fixture policy.
func fixture(name string) xdp.Program {
	return xdp.Program{File: object(harness.Fixture("policy")), Name: name}
}

func object(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return path
}

// set writes an entry of a map, in a per-CPU map for every CPU.
func set(t testing.TB, progID uint32, name string, key, value any) {
	t.Helper()
	m, err := maps.Open(progID, name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Update(key, value); err != nil {
		t.Fatal(err)
	}
}

// contents are the bytes of all maps of a chain, those in maps of maps included.
func contents(t testing.TB, ifname string) string {
	t.Helper()
	used, err := maps.OfChain(t.Context(), ifname)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for todo := used; len(todo) > 0; todo = todo[1:] {
		m, err := maps.OpenID(todo[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if m.Readable() == nil {
			err = m.Scan(t.Context(), func(key, values []byte) bool {
				all = append(all, fmt.Sprintf("%d %s % x: % x", m.ID, m.Name, key, values))
				return true
			})
			for e, err := range m.Entries(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if target, ok := e.Values[0].(maps.Target); ok && target.Map != nil {
					todo = append(todo, maps.Used{Info: *target.Map})
				}
			}
		}
		m.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(all)
	if len(all) == 0 {
		t.Fatal("the chain has no maps with entries")
	}
	return strings.Join(all, "\n")
}

// open prepares a rehearsal, and checks at its end that nothing of the chain has changed, nor
// anything in its maps.
func open(t testing.TB, ifname string, change rehearse.Change) *rehearse.Rehearsal {
	t.Helper()
	if change.Mode == xdp.ModeNative {
		change.Mode = xdp.ModeUnspecified
	}
	chain := fmt.Sprintf("%+v", harness.Status(t, ifname).Programs)
	r, err := rehearse.Open(t.Context(), ifname, change)
	if err != nil {
		t.Fatalf("%v (%s)", err, dispatcher.VerifierLog(err))
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if now := fmt.Sprintf("%+v", harness.Status(t, ifname).Programs); now != chain {
			t.Errorf("the chain was\n%s\nand is\n%s", chain, now)
		}
	})
	return r
}

// say runs a packet, and puts what became of it into words: "XDP_DROP by policy, XDP_PASS by
// note, other bytes".
func say(t testing.TB, r *rehearse.Rehearsal, packet []byte) string {
	t.Helper()
	o, err := r.Run(packet)
	if err != nil {
		t.Fatal(err)
	}
	words := way(o.Before) + ", " + way(o.After)
	if o.Bytes {
		words += ", other bytes"
	}
	return words
}

func way(t *observe.Trace) string {
	if t.DecidedBy == nil {
		return t.Verdict.String() + " by nobody"
	}
	return t.Verdict.String() + " by " + t.DecidedBy.Name
}

// packet asks the program policy for the verdict of a kind of map.
func packet(kind, key byte, more ...byte) []byte {
	p := make([]byte, 60)
	p[0], p[1] = kind, key
	copy(p[2:], more)
	return p
}

// The kinds, as in policy.bpf.c.
const (
	inArray = iota + 1
	inHash
	inLPM
	inCPUArray
	inCPUHash
	inLRU
	inInner
	inData
	inBSS
	inRodata
	budget
	device
	processor
	socket
	seen
)

// pinDir is a directory for pins, which is made with the first one. It goes with the test.
func pinDir(t testing.TB) string {
	dir := filepath.Join("/sys/fs/bpf", fmt.Sprintf("rehearse-%d", os.Getpid()))
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

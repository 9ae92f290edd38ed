package transaction

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// TestObjects has every XDP program of the samples and of the native tools join chains or, instead,
// of the objects that the pattern $XDPMUX_TEST_OBJECTS names. A program that the verifier takes alone
// has to join as the only one, as the first and as the last of two, and as the fifth of ten. Packets
// then come out as they do where it is attached without a dispatcher.
func TestObjects(t *testing.T) {
	more := os.Getenv("XDPMUX_TEST_OBJECTS")
	patterns := []string{harness.Sample("*"), "/usr/lib/*/bpf/*.o"}
	if harness.Scaled(1, 0) == 1 {
		patterns = append(patterns, "/native/*/usr/lib/*/bpf/*.o")
	}
	if more != "" {
		patterns = []string{more}
	}
	joined := map[string]int{} // by the program's name
	var table strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			object, err := inspect.Open(file)
			if err != nil {
				fmt.Fprintf(&table, "%s: %v\n", file, err)
				continue
			}
			for _, p := range object.Programs {
				if !p.XDP() {
					continue
				}
				t.Run(strings.ReplaceAll(file, "/", "-")+" "+p.Name, func(t *testing.T) {
					refused := joins(t, xdp.Program{File: file, Name: p.Name, Actions: actions(xdp.Pass)})
					if refused == nil && !t.Failed() {
						joined[p.Name]++
					}
					fmt.Fprintf(&table, "%s %s: %s\n", file, p.Name, outcome(t, refused))
				})
			}
		}
	}
	t.Logf("\n%s", table.String())
	if more == "" {
		for name, want := range map[string]int{"xdp_drop_ipv6": 1, "xdpfilt_alw_all": 1, "xdpfilt_dny_tcp": 1, "xsk_def_prog": 2} {
			if joined[name] < want {
				t.Errorf("%d programs %s joined, want %d", joined[name], name, want)
			}
		}
	}
}

func outcome(t *testing.T, refused error) string {
	switch {
	case t.Failed():
		return "FAILED"
	case refused != nil:
		text, _, _ := strings.Cut(refused.Error(), "\n")
		return "not even alone: " + text
	}
	return "joins"
}

// joins returns why a program doesn't load alone. If it does, it has to join.
func joins(t *testing.T, p xdp.Program) (refused error) {
	harness.NoLeak(t)
	frames := [][]byte{
		harness.UDP4(harness.Flow{}), harness.TCP4(harness.Flow{}), harness.UDP6(harness.Flow{}),
		harness.TCP6(harness.Flow{}), harness.ARP(harness.Flow{}),
	}
	v := harness.NewVeth(t)
	lone, err := harness.TryLone(t, p.File, p.Name, nil)
	if err != nil {
		return err
	}
	if err := v.TryAttach(lone.FD(), harness.Native); err != nil {
		return err
	}
	want, wantBack := v.Exchange(t, frames...)
	v.Attach(t, -1, harness.Native)

	count := xdp.Program{File: harness.Sample("xdp_count"), Actions: actions(xdp.Pass)}
	for _, place := range []struct{ before, after int }{{0, 0}, {0, 1}, {1, 0}, {4, 5}} {
		programs := slices.Concat(slices.Repeat([]xdp.Program{count}, place.before), []xdp.Program{p}, slices.Repeat([]xdp.Program{count}, place.after))
		for i := range programs {
			programs[i].Priority = prio(uint32(i))
		}
		_, err := dispatcher.Attach(t.Context(), v.Name, programs, dispatcher.AttachOptions{RequireDispatcher: true})
		if err != nil {
			t.Errorf("with %d before and %d after: %v", place.before, place.after, errors.Join(err, errors.New(dispatcher.VerifierLog(err))))
			return nil
		}
		got, back := v.Exchange(t, frames...)
		if diff := cmp.Diff(want, got) + cmp.Diff(wantBack, back); diff != "" {
			t.Errorf("with %d before and %d after, other packets pass or return than alone (-alone +chain):\n%s", place.before, place.after, diff)
		}
		for i, c := range status(t, v.Name).Programs {
			if i == place.before {
				continue
			}
			seen := len(frames)
			if i > place.before {
				seen = len(want)
			}
			if counted := harness.Counters(t, c.ID)[0]; counted != uint64(seen) {
				t.Errorf("with %d before and %d after, program %d has counted %d packets, want %d", place.before, place.after, i, counted, seen)
			}
		}
		unload(t, v.Name)
	}
	return nil
}

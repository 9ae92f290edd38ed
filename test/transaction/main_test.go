// Package transaction proves on a real kernel, beside the native tools, that a chain
// changes in one step.
package transaction

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) {
	if ifname := os.Getenv(socketEnv); ifname != "" {
		if err := receiveBySocket(ifname); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	harness.Main(m)
}

// native is the tool that shares the chains.
const native = "xdp-loader"

// fixture is a program of an object that make has built for the tests.
func fixture(object, name string) xdp.Program {
	return xdp.Program{File: harness.Fixture(object), Name: name}
}

// status is what is on an interface.
var status = harness.Status

// commit makes a transaction that has to work.
func commit(t *testing.T, ifname string, tx dispatcher.Transaction) *dispatcher.Committed {
	t.Helper()
	done, err := tx.Commit(t.Context(), ifname)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// unload empties an interface.
func unload(t *testing.T, ifname string) {
	t.Helper()
	if err := dispatcher.DetachAll(t.Context(), ifname, dispatcher.DetachOptions{}); err != nil {
		t.Fatal(err)
	}
}

// cleaning has these tools clean all interfaces in turn, again and again, until the test ends
// or stop is called.
func cleaning(t *testing.T, tools ...string) (stop func()) {
	t.Helper()
	var ending atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		n := 0
		for ; !ending.Load(); n++ {
			tool := tools[n%len(tools)]
			if out, err := exec.Command(tool, "clean").CombinedOutput(); err != nil {
				t.Errorf("%s clean: %v\n%s", tool, err, out)
				return
			}
		}
		t.Logf("cleaned %d times meanwhile, by %q in turn", n, tools)
	}()
	stop = sync.OnceFunc(func() {
		ending.Store(true)
		<-done
	})
	t.Cleanup(stop)
	return stop
}

// names are those of a chain's programs in the order they run.
func names(c *dispatcher.Chain) (all []string) {
	for _, p := range c.Programs {
		all = append(all, p.Name)
	}
	return all
}

// prio and actions are for settings.
var prio = xdp.Prio

func actions(v ...xdp.Verdict) *xdp.Actions { return xdp.On(v...) }

// checkPins fails the test unless the pins of all chains are exactly those that the
// protocol has for the chain on this interface, and those of xdpmux if it has made the chain.
func checkPins(t *testing.T, v *harness.Veth) {
	t.Helper()
	if diff := wrongPins(t, v, status(t, v.Name)); diff != "" {
		t.Fatal(diff)
	}
}

func wrongPins(t *testing.T, v *harness.Veth, chain *dispatcher.Chain) string {
	t.Helper()
	const root = "/sys/fs/bpf/xdp/"
	want := []string{}
	own, byNative := fmt.Sprintf("%schain-%d", root, v.Index), false
	if chain.Dispatcher != nil {
		dir := fmt.Sprintf("%sdispatch-%d-%d", root, v.Index, chain.Dispatcher.ID)
		want = append(want, dir)
		main := fmt.Sprintf("%s/main-%d", own, chain.Dispatcher.ID)
		if _, err := os.Lstat(main); err == nil {
			want = append(want, own, fmt.Sprintf("%s/config-%d", own, chain.Dispatcher.ID), main)
			for i, p := range chain.Programs {
				if len(p.Name) > 15 {
					want = append(want, fmt.Sprintf("%s/name-%d-%d", own, chain.Dispatcher.ID, i))
				}
			}
		} else {
			byNative = true
		}
		for i, p := range chain.Programs {
			want = append(want, fmt.Sprintf("%s/prog%d-link", dir, i), fmt.Sprintf("%s/prog%d-prog", dir, i))
			for _, id := range programArrays(t, p.ID) {
				dir := fmt.Sprintf("%stailcalls-%d", root, p.ID)
				want = append(want, dir, fmt.Sprintf("%s/%d", dir, id))
			}
			if p.ID == 0 {
				return fmt.Sprintf("program %d of the chain is gone", i)
			}
		}
	}
	var have []string
	for _, pattern := range []string{"*", "*/*"} {
		found, err := filepath.Glob(root + pattern)
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, found...)
	}
	if byNative { // what they have replaced has left its own pins
		have = slices.DeleteFunc(have, func(path string) bool { return path == own || strings.HasPrefix(path, own+"/") })
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Sprintf("pins: %q\nwant: %q", have, want)
	}
	return ""
}

// programArrays are the ids of the maps of a program that hold programs to be called. The tests
// that use it have a program with one at most.
func programArrays(t *testing.T, progID uint32) (ids []uint32) {
	t.Helper()
	for _, id := range harness.MapIDs(t, progID) {
		m, err := maps.OpenID(id)
		must(t, err)
		if m.Type == "prog_array" {
			ids = append(ids, id)
		}
		m.Close()
	}
	return ids
}

// bothShow fails the test unless both tools show the same.
func bothShow(t *testing.T, ifname string) string {
	t.Helper()
	a := harness.MustRun(t, harness.Xdpmux(), "status", ifname)
	b := harness.MustRun(t, native, "status", ifname)
	if a != b {
		t.Fatalf("%s status:\n%s\n%s status:\n%s", harness.Xdpmux(), a, native, b)
	}
	return a
}

// frame is the shortest Ethernet frame of that type.
func frame(etherType uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, etherType)[:14:14]
}

const (
	plain  = 0x88b5 // IEEE 802.1, local experimental 1
	marked = 0x88b6 // and 2, as in flood.bpf.c
)

func padded(f []byte) []byte { return append(f, bytes.Repeat([]byte{0}, 60-len(f))...) }

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	comingRounds = 3
	comingAtOnce = 20 // or as many as there are
)

// host has interfaces that come and go.
type host struct {
	prefix string   // of their names, before a number
	here   []string // in the order in which they came
	count  int      // of all that ever came
}

// add adds interfaces at once, and deletes the oldest ones meanwhile. came is when each came.
func (h *host) add(n, leaving int) (came map[string]time.Time, err error) {
	came = map[string]time.Time{}
	for i := range n {
		if i < leaving {
			if err := deleteVeth(h.here[0]); err != nil {
				return nil, err
			}
			h.here = h.here[1:]
		}
		name := fmt.Sprint(h.prefix, h.count)
		came[name] = time.Now()
		if err := addVeth(name); err != nil {
			return nil, err
		}
		h.count++
		h.here = append(h.here, name)
	}
	return came, nil
}

// containerHost is one with an agent that gives each interface its chain.
type containerHost struct {
	host
	changed <-chan string // the interfaces that the agent has changed
}

// comingInterfaces measures how long an interface that comes is without its chain.
func comingInterfaces(ctx context.Context, w io.Writer) (err error) {
	fmt.Fprintf(w, "\n## Interfaces that come and go\n\n"+
		"A host of containers: interfaces with chains of %d, which the agent keeps. Up to %d of them go, and as many come, at\n"+
		"once, %d times. The time is how long each of those that come is without its chain. In turn with that as many others go and\n"+
		"come, and xdp-loader loads their chains one after the other. It leaves the pins of those that went; the agent doesn't.\n\n"+
		"| interfaces | go and come | by the agent, median | longest | by xdp-loader, median | longest | ratio of the longest |\n"+
		"|---:|---:|---:|---:|---:|---:|---:|\n", manyMembers, comingAtOnce, comingRounds)
	dir, err := os.MkdirTemp("", "xdpmux-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := declareMany(filepath.Join(dir, "many.yaml"), "c*[0-9]", 50, 50, 50); err != nil {
		return err
	}
	changed, end, err := startAgent(ctx, dir)
	if err != nil {
		return err
	}
	h, them := &containerHost{host{prefix: "c"}, changed}, &byHand{host{prefix: "native"}}
	defer func() {
		err = errors.Join(err, end())
		if all := append(h.here, them.here...); len(all) > 0 {
			err = errors.Join(err, do(ctx, ours, "unload", "-a", strings.Join(all, ",")))
		}
		err = errors.Join(err, do(ctx, ours, "clean"))
	}()
	// The kernel waits for the first chains of a machine alone: the native tool has its part of them.
	if _, err := them.come(ctx, comingAtOnce, 0); err != nil {
		return err
	}
	for _, n := range []int{10, 100, 1000} {
		progress("%d interfaces that come and go", n)
		if _, err := h.come(n-len(h.here), 0); err != nil {
			return err
		}
		atOnce := min(n, comingAtOnce)
		var took, natively []time.Duration
		for range comingRounds {
			some, err := h.come(atOnce, atOnce)
			if err != nil {
				return err
			}
			took = append(took, some...)
			if some, err = them.come(ctx, atOnce, atOnce); err != nil {
				return err
			}
			natively = append(natively, some...)
		}
		median, longest := middleAndLast(took)
		nativeMedian, nativeLongest := middleAndLast(natively)
		fmt.Fprintf(w, "| %d | %d | %s | %s | %s | %s | %s |\n", n, atOnce, ms(median), ms(longest),
			ms(nativeMedian), ms(nativeLongest), ratio(longest, nativeLongest))
	}
	return nil
}

// come adds interfaces at once, and deletes the oldest ones meanwhile. It returns how long each that
// came was without its chain.
func (h *containerHost) come(n, leaving int) (took []time.Duration, err error) {
	came, err := h.add(n, leaving)
	if err != nil {
		return nil, err
	}
	for len(came) > 0 {
		name, ok := <-h.changed
		if !ok {
			return nil, errors.New("the agent has ended")
		}
		if since, ok := came[name]; ok {
			took = append(took, time.Since(since))
			delete(came, name)
		}
	}
	return took, nil
}

// addVeth is addPair without a process for it.
func addVeth(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "p"})
}

// byHand is a host where the native tool is called for each interface that comes.
type byHand struct{ host }

// come adds interfaces, deletes as many that were there, and has the native tool load the chains of those
// that came, one after the other. It returns how long each was without its chain.
func (h *byHand) come(ctx context.Context, n, leaving int) (took []time.Duration, err error) {
	came, err := h.add(n, leaving)
	if err != nil {
		return nil, err
	}
	for _, name := range h.here {
		since, ok := came[name]
		if !ok {
			continue
		}
		if err := do(ctx, native, append([]string{"load", name}, manyObjects...)...); err != nil {
			return nil, err
		}
		took = append(took, time.Since(since))
	}
	return took, nil
}

func deleteVeth(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// startAgent starts an agent for the files of dir. changed tells each interface that it changes, and
// is closed when the agent ends.
func startAgent(ctx context.Context, dir string) (changed <-chan string, end func() error, err error) {
	cmd := exec.CommandContext(ctx, ours, "agent", "--state", dir, "--log", "json")
	log, err := cmd.StderrPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	names := make(chan string)
	go func() {
		defer close(names)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var r struct{ Msg, Interface string }
			if json.Unmarshal(lines.Bytes(), &r) == nil && r.Msg == "changed" {
				names <- r.Interface
			}
		}
	}()
	return names, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		for range names {
		}
		return cmd.Wait()
	}, nil
}

func middleAndLast(took []time.Duration) (median, longest time.Duration) {
	slices.Sort(took)
	return took[len(took)/2], took[len(took)-1]
}

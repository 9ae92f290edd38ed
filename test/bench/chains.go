package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
)

const (
	passObject = "build/bpf/xdp_pass.o"
	oneRuns    = 15
	manyIfaces = 100
	repeat     = 200_000
)

// chains measures what takes a kernel that runs chains.
func chains(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "\n%s", machine())
	for _, part := range []func(context.Context, io.Writer) error{oneInterface, manyInterfaces, packets} {
		if err := part(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// oneInterface takes xdpmux and the native tool in turn through load, status and
// unload.
func oneInterface(ctx context.Context, w io.Writer) error {
	progress("one interface")
	if err := addPair(ctx, "one"); err != nil {
		return err
	}
	steps := [][]string{{"load", "one", passObject}, {"status", "one"}, {"unload", "one", "-a"}}
	times := map[string][]measured{ours: make([]measured, len(steps)), native: make([]measured, len(steps))}
	for run := range oneRuns {
		for _, tool := range []string{ours, native} {
			for i, step := range steps {
				m, err := measure(ctx, tool, step...)
				if err != nil {
					return err
				}
				if t := &times[tool][i]; run == 0 || m.wall < t.wall {
					*t = m
				}
			}
		}
	}
	fmt.Fprintf(w, "\n## One interface\n\nThe best of %d runs.\n\n| | xdp-loader | xdpmux | ratio | peak memory |\n|---|---:|---:|---:|---:|\n", oneRuns)
	for i, step := range steps {
		them, us := times[native][i], times[ours][i]
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | %.1f MiB, %.1f MiB |\n", step[0], ms(them.wall), ms(us.wall), float64(us.wall)/float64(them.wall), float64(them.rss)/1024, float64(us.rss)/1024)
	}
	return nil
}

func addPair(ctx context.Context, name string) error {
	_, err := measure(ctx, "ip", "link", "add", name, "type", "veth", "peer", "name", name+"p")
	return err
}

func manyInterfaces(ctx context.Context, w io.Writer) error {
	progress("%d interfaces", manyIfaces)
	var names []string
	for i := range manyIfaces {
		names = append(names, fmt.Sprintf("m%d", i))
		if err := addPair(ctx, names[i]); err != nil {
			return err
		}
	}
	start := time.Now()
	for _, name := range names {
		if _, err := measure(ctx, native, "load", name, passObject); err != nil {
			return err
		}
	}
	them := time.Since(start)
	list := strings.Join(names, ",")
	if _, err := measure(ctx, ours, "unload", "-a", list); err != nil {
		return err
	}
	us, err := measure(ctx, ours, "load", list, passObject)
	if err != nil {
		return err
	}
	if _, err := measure(ctx, ours, "unload", "-a", list); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## One program on %d interfaces\n\n| %d times xdp-loader | xdpmux load m0,m1,... | ratio |\n|---:|---:|---:|\n| %s | %s | %.2f |\n",
		manyIfaces, manyIfaces, ms(them), ms(us.wall), float64(us.wall)/float64(them))
	return nil
}

// packets measures a packet's way through chains, by test runs of the dispatcher.
func packets(ctx context.Context, w io.Writer) error {
	if err := addPair(ctx, "way"); err != nil {
		return err
	}
	bare, err := bareProgram()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## A packet's way through a chain\n\nEach program passes. A bare program takes %.0f ns by test run.\n\n", bare)
	fmt.Fprintln(w, "| programs | xdp-loader | xdpmux | same dispatcher |\n|---:|---:|---:|---|")
	for n := 1; n <= dispatcher.MaxPrograms; n++ {
		progress("a chain of %d", n)
		var took [2]float64
		var tags [2]string
		for i, tool := range []string{native, ours} {
			args := append([]string{"load", "way"}, strings.Fields(strings.Repeat(passObject+" ", n))...)
			if _, err := measure(ctx, tool, args...); err != nil {
				return err
			}
			c, err := statusOf(ctx, "way")
			if err != nil {
				return err
			}
			tags[i] = c.Dispatcher.Tag
			fd, err := libbpf.ProgByID(c.Dispatcher.ID)
			if err != nil {
				return err
			}
			took[i], err = nanoseconds(fd.Int())
			fd.Close()
			if err != nil {
				return err
			}
			if _, err := measure(ctx, tool, "unload", "way", "-a"); err != nil {
				return err
			}
		}
		same := "yes"
		if tags[0] != tags[1] {
			same = "no"
		}
		fmt.Fprintf(w, "| %d | %.1f × bare | %.1f × bare | %s |\n", n, took[0]/bare, took[1]/bare, same)
	}
	return nil
}

func statusOf(ctx context.Context, ifname string) (*dispatcher.Chain, error) {
	out, err := exec.CommandContext(ctx, ours, "status", "--json", ifname).Output()
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	var all []*dispatcher.Chain
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, err
	}
	return all[0], nil
}

func bareProgram() (float64, error) {
	obj, err := libbpf.OpenFile(passObject, libbpf.OpenOptions{})
	if err != nil {
		return 0, err
	}
	defer obj.Close()
	if err := obj.Load(); err != nil {
		return 0, err
	}
	return nanoseconds(obj.Programs()[0].FD())
}

// nanoseconds is the best of three test runs.
func nanoseconds(fd int) (float64, error) {
	var result float64
	for i := range 3 {
		r, err := libbpf.TestRun(fd, libbpf.TestRunOptions{Data: make([]byte, 64), Repeat: repeat})
		if err != nil {
			return 0, err
		}
		if ns := float64(r.Duration.Nanoseconds()); i == 0 || ns < result {
			result = ns
		}
	}
	return result, nil
}

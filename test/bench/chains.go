package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

const (
	passObject = "build/bpf/xdp_pass.o"
	oneRuns    = 20
	repeat     = 50_000 // packets a test run
	rounds     = 10
)

// chains measures what takes a kernel that runs chains.
func chains(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "\n%s", machine())
	for _, part := range []func(context.Context, io.Writer) error{oneInterface, packets, observing, sockets} {
		if err := part(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// oneInterface takes xdpmux and the native tool in turn through a chain of two.
func oneInterface(ctx context.Context, w io.Writer) error {
	progress("one interface")
	if err := addPair(ctx, "one"); err != nil {
		return err
	}
	steps := []struct {
		name string
		args func() ([]string, error)
	}{
		{"load the first program", words("load", "one", passObject)},
		{"load another", words("load", "one", passObject)},
		{"status", words("status", "one")},
		{"unload one of two", func() ([]string, error) {
			c, err := statusOf(ctx, "one")
			if err != nil {
				return nil, err
			}
			return []string{"unload", "one", "-i", fmt.Sprint(c.Programs[1].ID)}, nil
		}},
		{"unload all", words("unload", "one", "-a")},
	}
	type result struct {
		wall   []time.Duration
		memory float64
	}
	results := map[string][]result{ours: make([]result, len(steps)), native: make([]result, len(steps))}
	for run := range oneRuns + 1 {
		for _, tool := range []string{native, ours} {
			for i, step := range steps {
				args, err := step.args()
				if err != nil {
					return err
				}
				r := &results[tool][i]
				if run == 0 { // memory, and everything once before it is timed
					r.memory, err = peak(ctx, tool, args...)
				} else {
					var took time.Duration
					took, _, err = measure(ctx, tool, args...)
					r.wall = append(r.wall, took)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintf(w, "\n## One interface\n\nThe median of %d runs, taken in turn; peak memory.\n\n![time of each command](%s)\n\n| | xdp-loader | xdpmux | ratio | memory of xdp-loader | of xdpmux |\n|---|---:|---:|---:|---:|---:|\n", oneRuns, ratiosPicture)
	for i, step := range steps {
		them, us := median(results[native][i].wall), median(results[ours][i].wall)
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | %.1f MiB | %.1f MiB |\n", step.name, ms(them), ms(us), float64(us)/float64(them), results[native][i].memory, results[ours][i].memory)
	}
	return nil
}

func words(args ...string) func() ([]string, error) {
	return func() ([]string, error) { return args, nil }
}

func median[T cmp.Ordered](all []T) T {
	slices.Sort(all)
	return all[len(all)/2]
}

func addPair(ctx context.Context, name string) error {
	return do(ctx, "ip", "link", "add", name, "type", "veth", "peer", "name", name+"p")
}

// packets measures a packet's way through chains, by test runs of the dispatcher.
func packets(ctx context.Context, w io.Writer) error {
	fmt.Fprint(w, "\n## A packet's way through a chain\n\nEach program passes; the figures are multiples of what a bare program takes, by test run.\n\n")
	fmt.Fprintln(w, "| programs | xdp-loader | xdpmux | same dispatcher |\n|---:|---:|---:|---|")
	bare, err := bareProgram()
	if err != nil {
		return err
	}
	defer bare.Close()
	for _, tool := range []string{native, ours} {
		if err := addPair(ctx, "by-"+tool); err != nil {
			return err
		}
	}
	for n := 1; n <= xdp.MaxPrograms; n++ {
		progress("a chain of %d", n)
		if err := packetsOf(ctx, w, n, bare); err != nil {
			return err
		}
	}
	return nil
}

// packetsOf measures chains of n programs, one by each tool.
func packetsOf(ctx context.Context, w io.Writer, n int, bare *libbpf.FD) error {
	fds, tags := []*libbpf.FD{bare}, []string{""}
	for _, tool := range []string{native, ours} {
		ifname := "by-" + tool
		if err := do(ctx, tool, append([]string{"load", ifname}, strings.Fields(strings.Repeat(passObject+" ", n))...)...); err != nil {
			return err
		}
		c, err := statusOf(ctx, ifname)
		if err != nil {
			return err
		}
		fd, err := libbpf.ProgByID(c.Dispatcher.ID)
		if err != nil {
			return err
		}
		defer fd.Close()
		fds, tags = append(fds, fd), append(tags, c.Dispatcher.Tag)
	}
	took, err := nanoseconds(fds, repeat, 0)
	if err != nil {
		return err
	}
	same := map[bool]string{true: "yes", false: "no"}[tags[1] == tags[2]]
	fmt.Fprintf(w, "| %d | %.1f | %.1f | %s |\n", n, took[1]/took[0], took[2]/took[0], same)
	for _, tool := range []string{native, ours} {
		if err := do(ctx, tool, "unload", "by-"+tool, "-a"); err != nil {
			return err
		}
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

func bareProgram() (*libbpf.FD, error) {
	obj, err := libbpf.OpenFile(passObject, libbpf.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	if err := obj.Load(); err != nil {
		return nil, err
	}
	id, err := libbpf.ProgInfoByFD(obj.Programs()[0].FD())
	if err != nil {
		return nil, err
	}
	return libbpf.ProgByID(id.ID)
}

// nanoseconds is the best of several test runs of each program, taken in turn, on
// packets that come in on an interface (0: on none that matters).
func nanoseconds(fds []*libbpf.FD, repeat, ifindex int) ([]float64, error) {
	best := make([]float64, len(fds))
	opts := libbpf.TestRunOptions{Data: make([]byte, 64), Repeat: repeat}
	if ifindex != 0 {
		opts.Context = make([]byte, 24)                     // struct xdp_md
		binary.NativeEndian.PutUint32(opts.Context[4:], 64) // data_end
		binary.NativeEndian.PutUint32(opts.Context[12:], uint32(ifindex))
	}
	for round := range rounds {
		for i, fd := range fds {
			r, err := libbpf.TestRun(fd.Int(), opts)
			if errors.Is(err, syscall.EINTR) { // Go's scheduler sends signals
				r, err = libbpf.TestRun(fd.Int(), opts)
			}
			if err != nil {
				return nil, err
			}
			if ns := float64(r.Duration.Nanoseconds()); round == 0 || ns < best[i] {
				best[i] = ns
			}
		}
	}
	return best, nil
}

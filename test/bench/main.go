// Command bench measures xdpmux beside the native tools, in one run, and writes
// what it finds as a document:
//
//	make bench
//
// It needs root. Where the running kernel can't replace functions of programs, what
// is about chains is measured in a VM, and only its ratios tell something.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ours   = "xdpmux"
	native = "xdp-loader"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "chains":
		err = inNetns(func() error { return chains(ctx, os.Stdout) })
	case len(os.Args) == 2:
		err = document(ctx, os.Args[1])
	default:
		err = fmt.Errorf("usage: bench docs/benchmarks.md")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// document writes the whole document, once everything is measured.
func document(ctx context.Context, path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench`: one run, xdpmux and the native tool in turn.\n\n%s\n", machine())
	if err := inNetns(func() error { return statusOfMany(ctx, &b) }); err != nil {
		return err
	}
	if exec.CommandContext(ctx, ours, "check").Run() == nil {
		if err := inNetns(func() error { return chains(ctx, &b) }); err != nil {
			return err
		}
	} else {
		progress("this kernel runs no chains: starting a VM")
		fmt.Fprint(&b, "\nThe rest was measured in a VM, as this kernel runs no chains.\n")
		cmd := exec.CommandContext(ctx, "go", "run", "./test/vm", "-kernel", "6.12", "--", "/repo/build/bench", "chains")
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		// What comes out of the VM is both streams in one.
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), said) {
				fmt.Fprintln(os.Stderr, lines.Text())
			} else {
				fmt.Fprintln(&b, lines.Text())
			}
		}
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("in the VM: %w", err)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// inNetns calls f, and whatever it starts, in a network namespace of its own, which
// goes with its interfaces when f returns.
func inNetns(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("unshare", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// said begins every line that isn't part of the document.
const said = "bench: "

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, said+format+"\n", args...) }

// machine describes what the figures are of.
func machine() string {
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	model := "unknown processor"
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(cpuinfo)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	versions, _ := exec.Command(ours, "--version").Output()
	return fmt.Sprintf("%s, %d processors, Linux %s. %s", model, runtime.NumCPU(), unix.ByteSliceToString(uts.Release[:]), versions)
}

// measured is what one run of a program took.
type measured struct {
	wall time.Duration
	rss  int64 // KiB, the most at any time
	out  string
}

func measure(ctx context.Context, name string, args ...string) (measured, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	m := measured{wall: time.Since(start), out: string(out)}
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	m.rss = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	return m, nil
}

// best is the fastest of several runs: what disturbs only adds.
func best(ctx context.Context, runs int, name string, args ...string) (measured, error) {
	var result measured
	for i := range runs {
		m, err := measure(ctx, name, args...)
		if err != nil {
			return m, err
		}
		if i == 0 || m.wall < result.wall {
			result.wall = m.wall
		}
		result.rss, result.out = max(result.rss, m.rss), m.out
	}
	return result, nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

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
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
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
	case len(os.Args) == 2 && os.Args[1] == "many":
		err = many(ctx, os.Stdout)
	case len(os.Args) == 2 && os.Args[1] == "observing":
		err = inNetns(func() error { return observing(ctx, os.Stdout) })
	case len(os.Args) == 2 && os.Args[1] == "sockets":
		err = inNetns(func() error { return sockets(ctx, os.Stdout) })
	case len(os.Args) == 2 && os.Args[1] == "capturing":
		err = inNetns(func() error { return capturing(ctx, os.Stdout) })
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
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench`: one run, xdpmux and the native tool in turn.\n\n"+
		"On arm64 xdpmux ran in emulation only (`make test-arm64`), whose times tell nothing, so none are here.\n\n%s", machine())
	if err := inNetns(func() error { return statusOfMany(ctx, &b) }); err != nil {
		return err
	}
	if exec.CommandContext(ctx, ours, "check").Run() == nil {
		for _, part := range []func(context.Context, io.Writer) error{chains, many, capturing} {
			if err := inNetns(func() error { return part(ctx, &b) }); err != nil {
				return err
			}
		}
	} else {
		progress("this kernel runs no chains: starting a VM")
		fmt.Fprint(&b, "\nThe rest was measured in VMs, as this kernel runs no chains.\n")
		// What is about chains on many interfaces goes by instructions. Of two processors one floods, and
		// the other captures.
		for _, part := range []struct{ name, processors, qemu string }{
			{"chains", "1", ""}, {"many", "1", "-icount shift=0,sleep=off -cpu max,-cx16"}, {"capturing", "2", ""}, {"capturing", "1", ""},
		} {
			if part.qemu != "" {
				fmt.Fprint(&b, "\nIn the VM of the next three tables time goes by instructions alone: 10^9 are a second.\n")
			}
			if err := inVM(ctx, &b, part.name, part.processors, part.qemu); err != nil {
				return err
			}
		}
	}
	if err := draw(b.String(), filepath.Dir(path)); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// inVM measures a part in a VM. qemu are further arguments for it.
func inVM(ctx context.Context, w io.Writer, part, processors, qemu string) error {
	cmd := exec.CommandContext(ctx, "go", "run", "./test/vm", "-kernel", "6.12", "-smp", processors, "-qemu", qemu, "--", "/repo/build/bench", part)
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
			fmt.Fprintln(w, lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("in the VM: %w", err)
	}
	return nil
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
	return fmt.Sprintf("%s, %d processors, Linux %s, %s. %s", model, runtime.NumCPU(), unix.ByteSliceToString(uts.Release[:]), runtime.GOARCH, versions)
}

// measure runs a program, and says how long it took and what it printed.
func measure(ctx context.Context, name string, args ...string) (time.Duration, string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return took, string(out), err
}

// do runs a program that isn't measured.
func do(ctx context.Context, name string, args ...string) error {
	_, _, err := measure(ctx, name, args...)
	return err
}

// peak is the most memory that a program has at any time, in MiB. time(1) is small:
// the kernel counts a child of this process with what this has until the exec.
func peak(ctx context.Context, name string, args ...string) (float64, error) {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("xdpmux-bench-%d", os.Getpid()))
	defer os.Remove(file)
	if err := do(ctx, "time", append([]string{"-f", "%M", "-o", file, name}, args...)...); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	return kib / 1024, err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

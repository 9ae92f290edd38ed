// Command vm boots a Linux kernel under qemu and runs the integration tests in
// it, or any command:
//
//	go run ./test/vm -kernel 6.12 ./cgo/... ./dispatcher/...
//	go run ./test/vm -kernel 6.1 -- sh -c 'uname -r; xdp-loader status'
//
// The VM holds nothing but an initramfs made on the spot: busybox, the network
// and BPF tools of this host, the test binaries and what make has built. It has
// no disk, no network unless -user-net asks for one, and needs no root. With -arch it is a machine of another
// architecture, with the tools that Debian has for that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	// qemu asks to be killed when the thread that started it ends, so that
	// thread has to be one that lives as long as this process.
	runtime.LockOSThread()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	var status exitStatus
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &status):
		os.Exit(int(status))
	default:
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// exitStatus is a failure that has been told already; only the status is left.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// options is what the command line says.
type options struct {
	kernel  string        // series such as 6.12, newest, all, or paths of images; several run side by side
	arch    string        // of the VM, as Go calls it
	modules string        // directory with the image's modules
	smp     int           // processors
	mem     string        // memory, as qemu writes it
	args    string        // for the kernel
	qemu    []string      // further arguments of qemu
	timeout time.Duration // for the whole life of the VM
	run     string        // -test.run
	bench   string        // -test.bench
	count   int           // -test.count
	once    string        // the packages and tests, divided by spaces, that only the last of the kernels has
	add     []addition    // further files
	native  string        // Debian suites whose native tools the VM gets beside this host's
	cards   string        // network cards, by the names of allCards
	userNet bool          // a card that reaches this host's loopback

	patterns []string // packages to test
	command  []string // what to run instead of tests
}

// addition is a file or directory that -add puts into the VM.
type addition struct{ src, dst string }

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("vm", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: vm [flags] [package patterns...]\n       vm [flags] -- command [arguments...]")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.kernel, "kernel", newestKernel, "kernel `series` to fetch through apt, \"newest\" or \"all\" of this distribution, or the path of an image; several, as in \"6.1 6.12\", run side by side")
	flags.StringVar(&o.arch, "arch", runtime.GOARCH, "`architecture` of the VM: amd64 or arm64; if not this host's, its tools are fetched and make GOARCH=... has to have built for it")
	flags.StringVar(&o.modules, "modules", "", "`directory` with the modules of an image given by path (default: /lib/modules/RELEASE beside it or on this host)")
	flags.StringVar(&o.native, "native", "trixie sid", "Debian `suites` whose native tools are in the VM too, as xdp-loader-SUITE")
	flags.StringVar(&o.cards, "cards", "", "network `cards` of the VM, two of each: "+strings.Join(cardNames(), ", ")+" (default: all for tests, none for a command)")
	flags.BoolVar(&o.userNet, "user-net", false, "a further network card, which reaches this host's loopback at "+hostAddress)
	flags.IntVar(&o.smp, "smp", 2, "`processors` of the VM")
	flags.StringVar(&o.mem, "mem", "2G", "`memory` of the VM")
	flags.StringVar(&o.args, "append", "", "further `arguments` for the kernel, such as nohz_full=1")
	flags.Func("qemu", "further `arguments` for qemu, such as \"-icount shift=2,sleep=off\": time goes by instructions", func(s string) error {
		o.qemu = strings.Fields(s)
		return nil
	})
	flags.DurationVar(&o.timeout, "timeout", 25*time.Minute, "kill the VM and fail after this long")
	flags.StringVar(&o.run, "run", "", "run only the tests that match this `regexp`")
	flags.StringVar(&o.bench, "bench", "", "run the benchmarks that match this `regexp`")
	flags.IntVar(&o.count, "count", 1, "run each test this many times")
	flags.StringVar(&o.once, "once", "", "run these packages and `tests`, such as \"test/command TestTop\", on the last of the kernels alone")
	flags.Func("add", "put a file or directory into the VM, `SRC[:DST]`; repeatable (DST: as SRC, relative to /repo)", func(s string) error {
		src, dst, _ := strings.Cut(s, ":")
		if src == "" {
			return errors.New("no source")
		}
		if dst == "" {
			dst = src
		}
		if !filepath.IsAbs(dst) {
			dst = filepath.Join("/repo", dst)
		}
		o.add = append(o.add, addition{src, dst})
		return nil
	})

	// flag swallows a "--", so what follows one is taken away beforehand.
	for i, arg := range args {
		if arg == "--" {
			if o.command = args[i+1:]; len(o.command) == 0 {
				return o, errors.New("no command after --")
			}
			args = args[:i]
			break
		}
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, exitStatus(2) // flag has said what is wrong
	}
	o.patterns = flags.Args()
	named := false
	flags.Visit(func(f *flag.Flag) { named = named || f.Name == "cards" })
	if o.command == nil && !named && o.arch == "amd64" { // not every machine has these cards
		o.cards = strings.Join(cardNames(), " ")
	}
	switch {
	case o.command != nil && len(o.patterns) > 0:
		return o, fmt.Errorf("packages %q and a command after --: give one of them", o.patterns)
	case o.command == nil && len(o.patterns) == 0:
		o.patterns = []string{"./cgo/...", "./dispatcher/...", "./test/..."}
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	p, ok := processors[o.arch]
	if !ok {
		return fmt.Errorf("there is no VM of architecture %s: run the tests with make test-native", o.arch)
	}
	if err := needPrograms(p); err != nil {
		return err
	}
	sys, err := findSystem(ctx, o.arch, stderr)
	if err != nil {
		return err
	}
	root, err := repoRoot()
	if err != nil {
		return err
	}
	names, err := kernelNames(ctx, o.arch, strings.Fields(o.kernel))
	if err != nil {
		return err
	}
	var kernels []kernelFiles
	for _, name := range names {
		kernel, err := findKernel(ctx, name, o.modules, o.arch, stderr)
		if err != nil {
			return err
		}
		kernels = append(kernels, kernel)
	}
	var native []string
	for _, suite := range strings.Fields(o.native) {
		root, err := findNative(ctx, suite, o.arch, stderr)
		if err != nil {
			return err
		}
		native = append(native, root)
	}
	cards, err := chooseCards(ctx, strings.Fields(o.cards), stderr)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "xdpmux-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	var suites []suite
	if o.command == nil {
		if suites, err = buildSuites(ctx, sys, root, tmp, o.patterns, stderr); err != nil {
			return err
		}
		if len(suites) == 0 {
			return fmt.Errorf("no package of %s has tests that import %s", strings.Join(o.patterns, " "), kernelPackage)
		}
	}
	nonce, err := newNonce()
	if err != nil {
		return err
	}
	var jobs []job
	var jobNames []string
	total := &total{}
	for i, kernel := range kernels {
		initrd := filepath.Join(tmp, fmt.Sprint("initrd", i))
		var skip []string
		if i < len(kernels)-1 {
			skip = strings.Fields(o.once)
		}
		ready := sync.OnceValue(func() error {
			return writeInitramfs(ctx, initrd, root, sys, kernel, native, o, suites, payloadScript(o, cards, suites, skip, nonce), stderr)
		})
		parts := [][]suite{nil} // one VM each
		if o.command == nil {
			parts = split(without(suites, skip), atOnce())
		}
		for j, part := range parts {
			dir := filepath.Join(tmp, fmt.Sprintf("vm%d-%d", i, j))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			jobNames = append(jobNames, jobName(names[i], part, len(parts)))
			jobs = append(jobs, func(out, complaints io.Writer) error {
				if err := ready(); err != nil {
					return err
				}
				vm := machine{arch: o.arch, kernel: kernel.image, initrd: initrd, smp: o.smp, mem: o.mem, kernelArgs: o.args + chosen(part), cards: cards, userNet: o.userNet, qemu: o.qemu, dir: dir, nonce: nonce}
				ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("no end within %v (-timeout)", o.timeout))
				defer cancel()
				if o.command != nil {
					return runCommand(ctx, vm, out, complaints)
				}
				return runTests(ctx, vm, part, total, out, complaints)
			})
		}
	}
	if len(jobs) == 1 {
		return jobs[0](stdout, stderr)
	}
	err = runJobs(jobNames, jobs, atOnce(), stdout)
	if o.command == nil {
		total.print(stdout)
	}
	return err
}

// runCommand runs the VM with a command as its payload and ends with its status.
func runCommand(ctx context.Context, vm machine, stdout, stderr io.Writer) error {
	status, seen := 0, false
	err := vm.run(ctx, stdout, func(m mark) {
		if m.kind == markExit {
			status, seen = m.status, true
		}
	})
	switch {
	case err != nil:
		vm.explain(stderr, err)
		return exitStatus(1)
	case !seen:
		return errors.New("the VM ended without the command's status")
	case status != 0:
		return exitStatus(status)
	}
	return nil
}

// runTests runs the VM with test binaries as its payload and sums up.
func runTests(ctx context.Context, vm machine, suites []suite, total *total, stdout, stderr io.Writer) error {
	rep := newReport(stdout, suites)
	err := vm.run(ctx, rep, rep.mark)
	rep.finish(err)
	if err != nil {
		vm.explain(stderr, err)
	}
	if !rep.summary(stdout, total) || err != nil {
		return exitStatus(1)
	}
	return nil
}

// repoRoot finds the module that the working directory is in.
func repoRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is in no Go module: run this in a clone of xdpmux", dir)
		}
	}
}

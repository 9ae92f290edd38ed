package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is one VM: booted, run to its payload's end, and gone.
type machine struct {
	arch           string
	kernel, initrd string
	smp            int
	mem            string
	kernelArgs     string
	cards          []cards
	userNet        bool
	qemu           []string // further arguments
	dir            string   // for the console's log
	nonce          string   // of the payload's marks
}

func (vm machine) console() string { return filepath.Join(vm.dir, "console.log") }

// run boots the VM, hands the payload's output and marks over as they come, and
// ends the VM. It returns nil only if the payload came to its end.
func (vm machine) run(ctx context.Context, text io.Writer, marked func(mark)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd := exec.CommandContext(ctx, processors[vm.arch].qemu, vm.args()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// qemu dies with this process whatever ends it, and a Ctrl-C of the
		// terminal comes to this process alone, which then tidies up.
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true,
	}
	if slices.ContainsFunc(vm.cards, func(c cards) bool { return c.taps }) {
		if err := inTaps(cmd); err != nil {
			return err
		}
	}
	cmd.WaitDelay = 5 * time.Second
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	payloadErr := readPayload(stdout, vm.nonce, text, marked)
	cause := context.Cause(ctx)
	// After its last mark the VM has nothing left to do or to save.
	cancel(nil)
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case payloadErr == nil:
		return nil
	case cause != nil:
		return cause
	case !errors.Is(payloadErr, errNoDone):
		return payloadErr
	case errors.As(waitErr, &exit) && exit.Exited() && exit.ExitCode() != 0:
		return fmt.Errorf("qemu: %w: %s", waitErr, strings.TrimSpace(complaint.String()))
	}
	return payloadErr
}

func (vm machine) args() []string {
	// One thread for all processors: the kernel changes its own code while others
	// run it, for each trampoline and each swap of a dispatcher, and emulated
	// processors that really run at once trap or hang on that now and then.
	p := processors[vm.arch]
	accel, model := "tcg,thread=single", p.model
	if vm.arch == runtime.GOARCH && haveKVM() {
		accel, model = "kvm", "max"
	}
	args := append([]string{
		"-accel", accel, "-cpu", model, "-smp", strconv.Itoa(vm.smp), "-m", vm.mem,
		"-nodefaults", "-no-reboot", "-display", "none", "-net", "none",
		"-serial", "file:" + vm.console(), // the kernel and init
		"-kernel", vm.kernel, "-initrd", vm.initrd,
		// panic=-1 with -no-reboot: a panic ends qemu at once. no_timer_check: on a busy
		// host the emulated timer comes so late that the kernel takes it for missing. The
		// kernel gives what it doesn't know, payload, to init.
		"-append", "console=" + p.console + " payload=" + p.tty + " quiet panic=-1 oops=panic mitigations=off no_timer_check " + vm.kernelArgs,
	}, p.machine...)
	args = append(args, p.payload...)
	for i, c := range vm.cards {
		args = append(args, c.args(i)...)
	}
	if vm.userNet {
		args = append(args, userNetArgs()...)
	}
	return append(args, vm.qemu...)
}

// haveKVM says whether the processor offers virtualisation: where it doesn't,
// /dev/kvm can be there all the same.
func haveKVM() bool {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || !hasVirtualisation(string(info)) {
		return false
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

func hasVirtualisation(cpuinfo string) bool {
	for _, line := range strings.Split(cpuinfo, "\n") {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "flags" {
			for _, flag := range strings.Fields(value) {
				if flag == "vmx" || flag == "svm" {
					return true
				}
			}
		}
	}
	return false
}

// explain tells why a VM failed, with what its kernel said last.
func (vm machine) explain(w io.Writer, err error) {
	log, _ := os.ReadFile(vm.console())
	tail, panicked := lastWords(string(log), 40)
	if len(tail) == 0 {
		fmt.Fprintln(w, "vm: the console stayed empty")
	} else {
		fmt.Fprintln(w, "vm: the console's last lines:")
	}
	for _, line := range tail {
		fmt.Fprintln(w, "    "+line)
	}
	if panicked != "" {
		err = fmt.Errorf("%w: kernel panic: %s", err, panicked)
	}
	fmt.Fprintln(w, "vm:", err)
}

// lastWords is the end of a console's log, at most n lines of it, without the guesses
// ("? f+0x1/0x2") of a stack trace, and the reason of a panic, if there was one.
func lastWords(log string, n int) (tail []string, panicked string) {
	for _, line := range strings.Split(strings.ReplaceAll(log, "\r", ""), "\n") {
		if _, reason, ok := strings.Cut(line, "Kernel panic - not syncing: "); ok {
			panicked = reason
		}
		if strings.TrimSpace(line) != "" && !strings.Contains(line, "]  ? ") {
			tail = append(tail, line)
		}
	}
	return tail[max(0, len(tail)-n):], panicked
}

package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/native"
	"github.com/xdpmux/xdpmux/dispatcher/internal/privilege"
	"github.com/xdpmux/xdpmux/dispatcher/internal/protocol"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Check is one thing that chains need, and whether it is there.
type Check struct {
	Name   string `json:"name"` // such as "bpffs"
	State  State  `json:"state"`
	Detail string `json:"detail"`           // what was found
	Remedy string `json:"remedy,omitempty"` // what to do; empty where nothing is to be done

	Hints []xdp.Hint `json:"-"` // those of Remedy, in its order; see xdp.RemedyWith
}

// State says what a check has found.
type State string

// What a check can find.
const (
	OK      State = "ok"
	Limited State = "limited" // chains work, but something that they could do does not
	Missing State = "missing" // no chain works without it
)

// System finds out whether this machine can run a chain, by trying it. It lets go of what it
// loads for that. Nothing is attached or pinned.
func System(ctx context.Context) []Check {
	checks := []Check{checkKernel(), checkVmlinux(), checkLockdown(), checkMemlock()}
	checks = append(checks, checkCapabilities()...)
	checks = append(checks, checkMount())
	if ctx.Err() != nil {
		return checks
	}
	return append(checks, checkPrograms()...)
}

func ok(name, format string, args ...any) Check {
	return Check{Name: name, State: OK, Detail: fmt.Sprintf(format, args...)}
}

func limited(name, detail, remedy string, hints ...any) Check {
	c := Check{Name: name, State: Limited, Detail: detail}
	c.Remedy, c.Hints = xdp.Remedy(remedy, hints...)
	return c
}

// found returns ok with detail if err is nil, otherwise a check in the given state with
// the error's text. The error's remedy, if it has one, comes before the given remedy.
func found(name, detail string, state State, remedy string, err error) Check {
	if err == nil {
		return ok(name, "%s", detail)
	}
	c := Check{Name: name, State: state, Detail: strings.TrimPrefix(err.Error(), "no dispatcher possible: "), Remedy: remedy}
	var e *xdp.Error
	if errors.As(err, &e) && e.Remedy != "" {
		c.Remedy, c.Hints = e.Remedy, e.Hints
	}
	return c
}

func checkKernel() Check {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return found("kernel", "", Limited, "", err)
	}
	return ok("kernel", "Linux %s on %s", unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:]))
}

func checkVmlinux() Check {
	const file = "/sys/kernel/btf/vmlinux"
	_, err := os.Stat(file)
	return found("btf", file, Limited, "programs with CO-RE relocations need a kernel built with CONFIG_DEBUG_INFO_BTF", err)
}

func checkLockdown() Check {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil || strings.Contains(string(text), "[none]") {
		return ok("lockdown", "none")
	}
	_, level, _ := strings.Cut(string(text), "[")
	level, _, _ = strings.Cut(level, "]")
	if level == "integrity" {
		return ok("lockdown", "integrity, which lets BPF programs be")
	}
	return Check{Name: "lockdown", State: Limited, Detail: level + ": programs can't read kernel memory",
		Remedy: "observing may not work; the boot option lockdown=integrity allows it"}
}

func checkMemlock() Check {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return found("memlock", "", Limited, "", err)
	}
	if limit.Cur == unix.RLIM_INFINITY {
		return ok("memlock", "unlimited")
	}
	return ok("memlock", "%d KiB, raised by libbpf where the kernel counts BPF memory by it (before Linux 5.11)", limit.Cur>>10)
}

// checkMount tries whether the bpffs takes directories. libxdp makes a directory of its own there,
// and in that one for each dispatcher.
func checkMount() Check {
	if err := protocol.CheckBPFFS(); err != nil {
		return found("bpffs", "", Missing, "", err)
	}
	if !protocol.IsBPFFS(protocol.BPFFS()) {
		return ok("bpffs", "none at %s, where a load mounts one, as %s says", protocol.BPFFS(), privilege.EnvAutomount)
	}
	dir := protocol.PinRootDir()
	root, err := protocol.OpenPinRoot()
	root.Close()
	if errors.Is(err, fs.ErrNotExist) {
		dir = protocol.BPFFS()
	} else if err != nil {
		return found("bpffs", "", Missing, "", err)
	}
	dir = filepath.Join(dir, fmt.Sprintf("xdpmux-check-%d", os.Getpid()))
	if err = os.Mkdir(dir, 0o700); err == nil {
		err = os.Remove(dir)
	}
	if st, statErr := os.Stat(protocol.BPFFS()); err == nil && statErr == nil && st.Mode()&0o022 != 0 {
		return Check{Name: "bpffs", State: Limited, Detail: protocol.BPFFS() + ", where any user may put something into xdpmux's way",
			Remedy: "chmod 0700 " + protocol.BPFFS() + "; or mount it with mode=0700"}
	}
	return found("bpffs", protocol.BPFFS(), Missing, "it has to be writable", err)
}

// Programs for a probe: r1 is the context, r0 the verdict.
var (
	moveHead = []libbpf.Insn{
		{Code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, Dst: 2}, // r2 = 0
		{Code: unix.BPF_JMP | unix.BPF_CALL, Imm: 44},              // bpf_xdp_adjust_head
		{Code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, Dst: 0, Imm: int32(xdp.Pass)},
		{Code: unix.BPF_JMP | unix.BPF_EXIT},
	}
	returnZero = []libbpf.Insn{
		{Code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, Dst: 0},
		{Code: unix.BPF_JMP | unix.BPF_EXIT},
	}
)

// checkPrograms loads one program of each kind that is needed.
func checkPrograms() []Check {
	libraries := checkLibraries()
	target, err := protocol.LoadProbeTarget(protocol.OpenAny)
	if err != nil {
		return []Check{libraries, probed("xdp", "", Missing, "a kernel with CONFIG_BPF_SYSCALL", err)}
	}
	defer target.Close()
	freplace := probed("freplace", "programs can take the place of a dispatcher's functions", Missing,
		"a kernel from 5.10 on with CONFIG_DEBUG_INFO_BTF and trampolines (arm64: from 6.0 on); some sandboxes forbid it", target.Replace(nil))
	checks := []Check{libraries, ok("xdp", "the kernel loads a dispatcher"), freplace}
	if freplace.State == OK {
		checks = append(checks, checkPacketData(target))
	}
	for _, kind := range []struct {
		name   string
		attach libbpf.AttachType
	}{{"fentry", libbpf.AttachTraceEntry}, {"fexit", libbpf.AttachTraceExit}} {
		err := target.Try(libbpf.ProgTypeTracing, kind.attach, protocol.DispatcherProgram, returnZero)
		if err != nil {
			err = &xdp.Error{Kind: xdp.ErrSystem, Err: err, Msg: fmt.Sprintf("a running program can't be traced (%s)", native.Cause(err))}
		}
		checks = append(checks, probed(kind.name, "running programs can be traced", Limited,
			"chains can't be observed; it takes what freplace takes", err))
	}
	return checks
}

// probed is found, for what fails also if a capability is missing. Then it says which.
func probed(name, detail string, state State, remedy string, err error) Check {
	if privilege.Denied(err) != nil {
		remedy = "it takes the capabilities above"
	}
	return found(name, detail, state, remedy, err)
}

// checkPacketData tries which dispatcher takes a program that changes packet data. Newer kernels
// don't put such a program into the dispatcher of an older libxdp.
func checkPacketData(own *protocol.ProbeTarget) Check {
	const name = "packet data"
	if own.Replace(moveHead) != nil {
		return Check{Name: name, State: Limited, Detail: "this kernel doesn't let a program that moves the packet's head or tail into a chain",
			Remedy: "other programs are not affected"}
	}
	const can = "programs in a chain may move the packet's head and tail"
	theirs, err := protocol.LoadProbeTarget((&protocol.HostDispatcher{}).Open)
	if err != nil { // there is none, and no native tool that would need it
		return ok(name, can)
	}
	defer theirs.Close()
	if theirs.Replace(moveHead) == nil {
		return ok(name, can)
	}
	return ok(name, can+", in xdpmux's own dispatcher; no native tool of libxdp before 1.5.5 can add one")
}

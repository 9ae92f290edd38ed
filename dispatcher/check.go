package dispatcher

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
)

// Check is one thing that chains need, and whether it is there.
type Check struct {
	Name   string     `json:"name"`
	State  CheckState `json:"state"`
	Detail string     `json:"detail"`
	Remedy string     `json:"remedy,omitempty"` // what to do; empty where nothing is to be done
}

// CheckState says what a check has found.
type CheckState string

// What a check can find.
const (
	CheckOK      CheckState = "ok"
	CheckLimited CheckState = "limited" // chains work, with less than all that there could be
	CheckMissing CheckState = "missing" // no chain works without it
)

// CheckSystem finds out, by trying it, whether this machine can run a chain. What
// it loads for that it lets go again; nothing is attached or pinned.
func CheckSystem(ctx context.Context) []Check {
	checks := []Check{checkKernel(), checkVmlinux(), checkLockdown(), checkMemlock()}
	checks = append(checks, checkCapabilities()...)
	checks = append(checks, checkMount())
	if ctx.Err() != nil {
		return checks
	}
	return append(checks, checkPrograms()...)
}

func ok(name, format string, args ...any) Check {
	return Check{Name: name, State: CheckOK, Detail: fmt.Sprintf(format, args...)}
}

// found is ok without an error, and else state with the error's words.
func found(name, detail string, state CheckState, remedy string, err error) Check {
	if err == nil {
		return ok(name, "%s", detail)
	}
	c := Check{Name: name, State: state, Detail: strings.TrimPrefix(err.Error(), "no dispatcher possible: "), Remedy: remedy}
	var e *Error
	if errors.As(err, &e) && e.Remedy != "" {
		c.Remedy = e.Remedy
	}
	return c
}

func checkKernel() Check {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return found("kernel", "", CheckLimited, "", err)
	}
	return ok("kernel", "Linux %s on %s", unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:]))
}

func checkVmlinux() Check {
	const file = "/sys/kernel/btf/vmlinux"
	_, err := os.Stat(file)
	return found("btf", file, CheckLimited, "programs with CO-RE relocations need a kernel built with CONFIG_DEBUG_INFO_BTF", err)
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
	return Check{Name: "lockdown", State: CheckLimited, Detail: level + ": programs can't read kernel memory",
		Remedy: "observing may not work; the boot option lockdown=integrity allows it"}
}

func checkMemlock() Check {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return found("memlock", "", CheckLimited, "", err)
	}
	if limit.Cur == unix.RLIM_INFINITY {
		return ok("memlock", "unlimited")
	}
	return ok("memlock", "%d KiB, raised by libbpf where the kernel counts BPF memory by it (before Linux 5.11)", limit.Cur>>10)
}

// checkMount tries whether the bpffs takes directories, as libxdp makes one for
// each dispatcher in a directory of its own, which it makes with the first.
func checkMount() Check {
	if err := checkBPFFS(); err != nil {
		return found("bpffs", "", CheckMissing, "", err)
	}
	if !isBPFFS(bpffs()) {
		return ok("bpffs", "none at %s, where a load mounts one, as %s says", bpffs(), envAutomount)
	}
	dir := pinRootDir()
	root, err := openPinRoot()
	root.close()
	if errors.Is(err, fs.ErrNotExist) {
		dir = bpffs()
	} else if err != nil {
		return found("bpffs", "", CheckMissing, "", err)
	}
	dir = filepath.Join(dir, fmt.Sprintf("xdpmux-check-%d", os.Getpid()))
	if err = os.Mkdir(dir, 0o700); err == nil {
		err = os.Remove(dir)
	}
	if st, statErr := os.Stat(bpffs()); err == nil && statErr == nil && st.Mode()&0o022 != 0 {
		return Check{Name: "bpffs", State: CheckLimited, Detail: bpffs() + ", where any user may put something into xdpmux's way",
			Remedy: "chmod 0700 " + bpffs() + "; or mount it with mode=0700"}
	}
	return found("bpffs", bpffs(), CheckMissing, "it has to be writable", err)
}

// Programs for a probe: r1 is the context, r0 the verdict.
var (
	moveHead = []libbpf.Insn{
		{Code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, Dst: 2}, // r2 = 0
		{Code: unix.BPF_JMP | unix.BPF_CALL, Imm: 44},              // bpf_xdp_adjust_head
		{Code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, Dst: 0, Imm: int32(Pass)},
		{Code: unix.BPF_JMP | unix.BPF_EXIT},
	}
	returnZero = []libbpf.Insn{
		{Code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, Dst: 0},
		{Code: unix.BPF_JMP | unix.BPF_EXIT},
	}
)

// checkPrograms loads one program of each kind that is needed.
func checkPrograms() []Check {
	libxdpLock.Lock()
	defer libxdpLock.Unlock()
	target, err := loadProbeTarget(openDispatcher)
	if err != nil {
		return []Check{checkLibraries(0), probed("xdp", "", CheckMissing, "a kernel with CONFIG_BPF_SYSCALL", err)}
	}
	defer target.Close()
	freplace := probed("freplace", "programs can take the place of a dispatcher's functions", CheckMissing,
		"a kernel from 5.10 on with CONFIG_DEBUG_INFO_BTF and trampolines (arm64: from 6.0 on); some sandboxes forbid it", target.replace(nil))
	version, _ := target.version()
	checks := []Check{checkLibraries(version), ok("xdp", "the kernel loads a dispatcher"), freplace}
	if freplace.State == CheckOK {
		checks = append(checks, checkPacketData(target))
	}
	for _, kind := range []struct {
		name   string
		attach libbpf.AttachType
	}{{"fentry", libbpf.AttachTraceEntry}, {"fexit", libbpf.AttachTraceExit}} {
		err := target.try(libbpf.ProgTypeTracing, kind.attach, dispatcherProgram, returnZero)
		if err != nil {
			err = &Error{Kind: ErrSystem, Err: err, Msg: fmt.Sprintf("a running program can't be traced (%s)", cause(err))}
		}
		checks = append(checks, probed(kind.name, "running programs can be traced", CheckLimited,
			"chains can't be observed; it takes what freplace takes", err))
	}
	return checks
}

// probed is found for what a missing capability forbids too.
func probed(name, detail string, state CheckState, remedy string, err error) Check {
	if denied(err) != nil {
		remedy = "it takes the capabilities above"
	}
	return found(name, detail, state, remedy, err)
}

// checkPacketData tries which dispatcher takes a program that changes packet data:
// newer kernels refuse it for older libxdp's.
func checkPacketData(target *probeTarget) Check {
	const name = "packet data"
	if target.replace(moveHead) == nil {
		return ok(name, "programs in a chain may move the packet's head and tail")
	}
	own, err := loadProbeTarget(func(string) (*libbpf.Program, *dispatcherFile, error) { return openOwnDispatcher(maxVersion, false) })
	if err == nil {
		defer own.Close()
		err = own.replace(moveHead)
	}
	if err == nil {
		return ok(name, "programs in a chain may move the packet's head and tail, in xdpmux's own dispatcher; no native tool of libxdp %s can add one", LibxdpVersion())
	}
	return Check{Name: name, State: CheckLimited, Detail: "this kernel doesn't let a program that moves the packet's head or tail into a chain",
		Remedy: "it takes libxdp 1.5.5 or newer; other programs are not affected"}
}

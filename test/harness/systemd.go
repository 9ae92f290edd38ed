package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Systemd is one that runs in namespaces of its own, as in a container, with a /run of its own.
type Systemd struct{ PID int }

// BootSystemd starts systemd with a unit, which is in the directory units, and returns when it
// has nothing more to start.
func BootSystemd(t *testing.T, units, unit string) Systemd {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ready, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	cmd := exec.Command("sh", "-c", `mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run &&
exec /usr/lib/systemd/systemd --system --unit="$0" --log-target=console --show-status=no`, unit)
	cmd.Env = append(os.Environ(), "container=test", "NOTIFY_SOCKET="+ready, "SYSTEMD_UNIT_PATH="+units+":")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWCGROUP}
	p := StartCmd(t, cmd) // killed at the end, and with it all that it has started
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("systemd said:\n%s%s", p.Stdout, p.Stderr)
		}
	})
	if err := socket.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for message := make([]byte, 4096); ; {
		n, err := socket.Read(message)
		if err != nil {
			t.Fatalf("systemd doesn't get ready: %v", err)
		}
		if strings.Contains("\n"+string(message[:n]), "\nREADY=1") {
			return Systemd{p.PID()}
		}
	}
}

// Run runs a program where that systemd is.
func (s Systemd) Run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return Run(t, "nsenter", append([]string{"-t", fmt.Sprint(s.PID), "-p", "-m", "-C"}, args...)...)
}

// Ctl runs systemctl where that systemd is.
func (s Systemd) Ctl(t *testing.T, args ...string) (said string, status int) {
	t.Helper()
	stdout, stderr, status := s.Run(t, append([]string{"systemctl"}, args...)...)
	return stdout + stderr, status
}

package faults

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// chainIn makes an interface with a chain in a namespace, and returns the directory of
// the chain's pins.
func chainIn(t *testing.T, ns *harness.Netns) (pins string) {
	t.Helper()
	ns.Do(t, func() {
		// Nothing of it holds a descriptor of the namespace, as a harness.Veth would.
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "inside"
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}))
		_, err := dispatcher.Attach(t.Context(), "inside", []xdp.Program{{File: pass}}, dispatcher.AttachOptions{RequireDispatcher: true})
		must(t, err)
		c, err := dispatcher.Status(t.Context(), "inside")
		must(t, err)
		pins = c.Pins
		t.Cleanup(func() { must(t, harness.RemovePins(c.Interface.Index)) })
	})
	there(t, pins)
	return pins
}

// leftover is the directory of the pins of a chain whose interface is gone.
func leftover(t *testing.T) string {
	t.Helper()
	v := harness.NewVeth(t)
	harness.MustRun(t, ours(), "load", v.Name, pass)
	pins := status(t, v.Name, 0).Pins
	harness.MustRun(t, "ip", "link", "delete", v.Name)
	there(t, pins)
	return pins
}

func there(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if pins, err := filepath.Glob(dir + "/*"); err != nil || len(pins) == 0 {
			t.Fatalf("the pins of %s are gone: %v", dir, err)
		}
	}
}

// A goroutine whose thread is in a namespace of its own calls Clean. Clean must work in that
// namespace, on whatever threads it runs.
func TestCleanOnAnyThread(t *testing.T) {
	harness.NoLeak(t)
	ns := harness.NewNetns(t)
	pins := chainIn(t, ns)
	ns.Do(t, func() {
		done, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{})
		must(t, err)
		if len(done.Kept) != 0 {
			t.Errorf("in a namespace of its own: %+v", done)
		}
	})
	there(t, pins)
	done, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{})
	must(t, err)
	there(t, pins)
	if len(done.Kept) != 1 || done.Kept[0].Dir != pins {
		t.Errorf("from outside: %+v", done)
	}
}

// Things that hold a namespace in which no process is, and that has no name. clean finds it.
func TestCleanFindsNamespaces(t *testing.T) {
	holders := map[string]func(t *testing.T, ns *harness.Netns){
		// A process that holds a descriptor: the test itself.
		"a descriptor": func(*testing.T, *harness.Netns) {},
		"a socket": func(t *testing.T, ns *harness.Netns) {
			ns.Do(t, func() {
				fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				must(t, err)
				t.Cleanup(func() { unix.Close(fd) })
			})
			ns.Release(t)
		},
		"a mount that only another process sees": func(t *testing.T, ns *harness.Netns) {
			file := t.TempDir() + "/namespace"
			must(t, os.WriteFile(file, nil, 0o600))
			started(t, `mount --bind "$0" "$1" && echo ready && read -r _`, ns.Path(), file)
			ns.Release(t)
		},
		"a thread": func(t *testing.T, ns *harness.Netns) {
			on, off := make(chan bool), make(chan bool)
			go ns.Do(t, func() { close(on); <-off })
			<-on
			t.Cleanup(func() { close(off) })
			ns.Release(t)
		},
	}
	for name, hold := range holders {
		t.Run(name, func(t *testing.T) {
			harness.NoLeak(t)
			ns := harness.NewNetns(t)
			pins := chainIn(t, ns)
			hold(t, ns)
			if stdout := harness.MustRun(t, ours(), "clean"); !strings.Contains(stdout, "kept "+pins) {
				t.Errorf("got:\n%s", stdout)
			}
			there(t, pins)
		})
	}
}

// started starts a shell with mounts and a network of its own, and waits until its script says
// that it is ready. The script ends with the test, at the end of its input.
func started(t *testing.T, script string, args ...string) {
	t.Helper()
	cmd := exec.Command("unshare", append([]string{"--mount", "--net", "sh", "-c", script}, args...)...)
	in, err := cmd.StdinPipe()
	must(t, err)
	p := harness.StartCmd(t, cmd)
	t.Cleanup(func() { in.Close(); p.Wait(t) })
	p.Stdout.Line(t)
}

// If anything can't be read, clean removes nothing, and says what it was.
func TestCleanFailsClosed(t *testing.T) {
	harness.NoLeak(t)
	blue := sameIndex(t, "blue")
	left := leftover(t)
	inject := func(what string, args ...string) []string {
		return append([]string{"strace", "-f", "-o", "/dev/null", "-e", "inject=" + what}, args...)
	}
	const private = `mount --make-rprivate / && `
	for _, c := range []struct {
		name string
		wrap []string
		want string
	}{
		{"no descriptors for setns", inject("setns:error=EMFILE"), "network namespace "},
		{"setns is forbidden", inject("setns:error=EPERM"), "network namespace "},
		{"no descriptor for a named one", inject("openat:error=EMFILE", "-P", "/run/netns/blue"), "network namespace blue"},
		{"a dump fails", inject("sendto:error=ENOBUFS:when=2+"), "network namespace "},
		{"the mounts can't be read", inject("openat:error=EACCES", "-P", "/proc/self/mountinfo", "-P", "/proc/thread-self/mountinfo"), "mountinfo"},
		{"the processes can't be listed", inject("openat:error=EMFILE", "-P", "/proc"), "/proc"},
		{"no /proc", []string{"unshare", "--mount", "sh", "-c", private + `mount -t tmpfs none /proc && exec "$@"`, "sh"}, "/proc"},
		{"processes that can't be looked into", withoutA("sys_ptrace"), "of process 1 "},
		{"processes are hidden", append(withoutA("sys_ptrace"), "unshare", "--mount", "sh", "-c", private+`mount -t proc -o hidepid=ptraceable proc /proc && exec "$@"`, "sh"), "hidepid"},
		{"a mount lies over the named one", []string{"unshare", "--mount", "--pid", "--fork", "sh", "-c", private + `mount -t proc proc /proc && mount -t tmpfs none /run/netns && exec "$@"`, "sh"}, "network namespace blue"},
		{"only some processes are seen", []string{"unshare", "--mount", "--pid", "--fork", "sh", "-c", private + `mount -t proc proc /proc && umount -l /run/netns/blue && exec "$@"`, "sh"}, "PID namespace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, exit := run(t, c.wrap, ours(), []string{"clean"})
			if exit != 1 || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "nothing was removed") {
				t.Errorf("exit status %d, want %q in: %s", exit, c.want, stderr)
			}
			there(t, blue, left)
		})
	}
	harness.MustRun(t, ours(), "clean")
	there(t, blue)
	if _, err := os.Lstat(left); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", left, err)
	}
}

// In one namespace interfaces come and go all the time, so that no dump of them is whole.
func TestCleanOfInterruptedDumps(t *testing.T) {
	harness.NoLeak(t)
	ns := harness.NewNetns(t)
	pins := chainIn(t, ns)
	left := leftover(t)
	stop, stopped := make(chan bool), make(chan bool)
	ns.Do(t, func() {
		harness.MustRun(t, "sh", "-c", `for i in $(seq 40); do echo "link add full$i type veth peer name half$i"; done | ip -batch -`)
	})
	go func() {
		defer close(stopped)
		ns.Do(t, func() {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "flap"
			for {
				if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
					t.Error(err)
				}
				if err := netlink.LinkDel(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}()
	_, stderr, exit := run(t, []string{"strace", "-f", "-o", "/dev/null", "-e", "inject=recvfrom,recvmsg:delay_enter=50ms"}, ours(), []string{"clean"})
	close(stop)
	<-stopped
	if exit != 1 || !strings.Contains(stderr, "nothing was removed") {
		t.Errorf("exit status %d: %s", exit, stderr)
	}
	there(t, pins, left)
	harness.MustRun(t, ours(), "clean")
	there(t, pins)
}

// Namespaces that come and go keep nobody from cleaning.
func TestCleanMeanwhile(t *testing.T) {
	harness.NoLeak(t)
	blue := sameIndex(t, "blue")
	leftover(t)
	t.Cleanup(func() { harness.MustRun(t, ours(), "clean") })
	goOn := t.TempDir()
	p := harness.Start(t, "sh", "-c", `while [ -e "$0" ]; do ip netns add passing && ip netns del passing && echo; done`, goOn)
	t.Cleanup(func() {
		must(t, os.Remove(goOn))
		p.End(t, 0)
	})
	for range 20 {
		p.Stdout.Line(t) // after the next one
		done, err := dispatcher.Clean(t.Context(), dispatcher.CleanOptions{DryRun: true})
		must(t, err)
		if len(done.Removed) != 2 || len(done.Kept) != 1 || done.Kept[0].Dir != blue { // libxdp's directory and ours
			t.Fatalf("%+v", done)
		}
	}
}

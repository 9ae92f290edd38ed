package fleet

import (
	"encoding/json"
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/fleet/guest"
)

// This machine's loopback, as VMs of test/vm -user-net see it.
const hostInVM = "10.0.2.2"

// builds are what VMs need: the command that boots them, and what they run beside what make has built.
type builds struct{ vm, guest, kube string }

func newBuilds(t *testing.T) (b builds) {
	t.Helper()
	dir := t.TempDir()
	b = builds{filepath.Join(dir, "vm"), filepath.Join(dir, "guest"), repo(t, "build/xdpmux-kube")}
	for _, args := range [][]string{{"build", "-C", repo(t, ""), "-o", b.vm, "./test/vm"}, {"test", "-c", "-ldflags=-w", "-o", b.guest, "./guest"}} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if _, err := os.Stat(b.kube); err != nil {
		t.Fatalf("make build fixtures kube comes first: %v", err)
	}
	return b
}

// vm is a node in a VM: it has a kernel of its own, and xdpmux-kube as it is shipped.
type vm struct {
	*fleet
	builds
	name, kernel string
	ipv6         bool // packets of IPv6 come too
	dir          string
	calls        net.Listener
	process      *process
	node         *rpc.Client
	before       guest.Packets
}

// newVM registers a node, and boots it.
func (f *fleet) newVM(b builds, name, kernel string) *vm {
	f.t.Helper()
	v := &vm{fleet: f, builds: b, name: name, kernel: kernel, dir: f.t.TempDir()}
	for file, text := range map[string]string{"kubeconfig": f.kubeconfig(hostInVM, f.register(name)), "machine-id": "machine-of-" + name} {
		if err := os.WriteFile(filepath.Join(v.dir, file), []byte(text), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	var err error
	if v.calls, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		f.t.Fatal(err)
	}
	v.boot()
	f.t.Cleanup(func() {
		if f.t.Failed() && v.node != nil {
			var log string
			if err := v.call("Run", "cat /root/log; xdpmux status; dmesg | tail", &log); err != nil {
				log = err.Error()
			}
			f.t.Logf("%s\n%s", name, log)
		}
		v.powerOff()
		v.calls.Close()
	})
	return v
}

// boot starts the VM. answered waits until it is there.
func (v *vm) boot() {
	v.t.Helper()
	_, port, err := net.SplitHostPort(v.calls.Addr().String())
	if err != nil {
		v.t.Fatal(err)
	}
	v.process, err = start(v.log(), "env", "-C", repo(v.t, ""), v.vm, "-kernel", v.kernel, "-native", "", "-mem", "1G", "-user-net",
		"-add", v.guest+":/root/guest", "-add", v.kube+":/usr/bin/xdpmux-kube", "-add", v.dir+"/kubeconfig:/root/kubeconfig", "-add", v.dir+"/machine-id:/etc/machine-id",
		"--", "env", "XDPMUX_TEST_HOST="+net.JoinHostPort(hostInVM, port), "/root/guest", "-test.v", "-test.timeout=20m")
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *vm) log() string { return filepath.Join(v.dir, "vm.log") }

// answered waits until the VM is booted.
func (v *vm) answered() {
	v.t.Helper()
	l := v.calls.(*net.TCPListener)
	_ = l.SetDeadline(time.Now().Add(2 * time.Minute))
	process := v.process
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-process.ended:
			_ = l.SetDeadline(time.Now())
		case <-done:
		}
	}()
	conn, err := l.Accept()
	if err != nil {
		log, _ := os.ReadFile(v.log())
		v.t.Fatalf("%s: %v\n%s", v.name, err, log)
	}
	v.node = jsonrpc.NewClient(conn)
}

// powerOff ends the VM as if its power failed.
func (v *vm) powerOff() {
	if v.node != nil {
		v.node.Close()
		v.node = nil
	}
	_ = v.process.cmd.Process.Signal(syscall.SIGTERM) // it kills qemu, and removes its files
	<-v.process.ended
}

// call has the node do something.
func (v *vm) call(method string, arg, reply any) error {
	select {
	case c := <-v.node.Go("Node."+method, arg, reply, make(chan *rpc.Call, 1)).Done:
		if c.Error == rpc.ErrShutdown || c.Error != nil && strings.Contains(c.Error.Error(), "EOF") {
			log, _ := os.ReadFile(v.log())
			return fmt.Errorf("%w\n%s", c.Error, log)
		}
		return c.Error
	case <-time.After(time.Minute):
		return fmt.Errorf("no answer to %s %v within a minute", method, arg)
	}
}

func (v *vm) must(method string, arg, reply any) {
	v.t.Helper()
	if err := v.call(method, arg, reply); err != nil {
		v.t.Fatalf("%s: %v", v.name, err)
	}
}

// run runs a command of the shell on the node.
func (v *vm) run(command string) (out string) {
	v.t.Helper()
	v.must("Run", command, &out)
	return out
}

func (v *vm) startAgent() {
	v.t.Helper()
	v.run("xdpmux-kube node --kubeconfig /root/kubeconfig --name " + v.name + " >>/root/log 2>&1 & echo $! >/root/pid")
}

// killAgent ends it without a chance to tidy up.
func (v *vm) killAgent() {
	v.t.Helper()
	v.run("kill -9 $(cat /root/pid)")
}

// runs are the programs on an interface of the node, in the order of the chain.
func (v *vm) runs(ifname string) string {
	v.t.Helper()
	var all []struct{ Programs []struct{ Name string } }
	if err := json.Unmarshal([]byte(v.run("xdpmux status --json "+ifname)), &all); err != nil {
		v.t.Fatal(err)
	}
	var names []string
	for _, is := range all {
		for _, p := range is.Programs {
			names = append(names, p.Name)
		}
	}
	return strings.Join(names, " ")
}

// flow has packets come from now on. They are counted from here.
func (v *vm) flow() {
	v.t.Helper()
	v.must("Flood", false, nil)
	v.must("Still", false, &v.before)
	v.must("Flood", v.ipv6, nil)
}

// noGap stops the flood, and wants that no packet has missed a program since flow or the last noGap.
// Then the flood goes on.
func (v *vm) noGap() {
	v.t.Helper()
	var now guest.Packets
	v.must("Still", false, &now)
	received, slipped := now.Received-v.before.Received, now.Slipped-v.before.Slipped
	since := func(now, before [2]uint64) [2]uint64 { return [2]uint64{now[0] - before[0], now[1] - before[1]} }
	front, guard, behind := since(now.Front, v.before.Front), since(now.Guard, v.before.Guard), since(now.Behind, v.before.Behind)
	v.t.Logf("%s: %d packets, %d of them marked", v.name, received, front[1])
	switch {
	case received < 1000:
		v.t.Errorf("%s: only %d packets: that proves nothing", v.name, received)
	case slipped != 0 || behind[1] != 0:
		v.t.Errorf("%s: %d marked packets came past the chain, and %d past the guard", v.name, slipped, behind[1])
	case front[0]+front[1] != received || guard[1] != front[1]:
		v.t.Errorf("%s: front has counted %v of %d packets, and the guard %v", v.name, front, received, guard)
	}
	v.before = now
	v.must("Flood", v.ipv6, nil)
}

package pending

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/test/harness"
)

// TestSession changes a chain over a TCP session that goes through it, as ssh would. The change
// drops all packets, those of the session too. It is taken back, and the session goes on.
func TestSession(t *testing.T) {
	harness.NoLeak(t)
	server, client := harness.NewNetns(t), harness.NewNetns(t)
	var v *harness.Veth
	server.Do(t, func() {
		v = harness.NewVeth(t)
		peer, err := netlink.LinkByName(v.Peer)
		must(t, err)
		ns, err := os.Open(client.Path())
		must(t, err)
		defer ns.Close()
		must(t, netlink.LinkSetNsFd(peer, int(ns.Fd())))
		address(t, v.Name, "192.0.2.1/24")
	})
	client.Do(t, func() { address(t, v.Peer, "192.0.2.2/24") })
	server.Do(t, func() { chain(t, v, 2) })

	// The server is a shell of one command a line. It says how each ended.
	var listener net.Listener
	server.Do(t, func() {
		var err error
		listener, err = net.Listen("tcp", "192.0.2.1:2022")
		must(t, err)
	})
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer conn.Close()
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			out, err := exec.Command("nsenter", append([]string{"--net=" + server.Path()}, strings.Fields(lines.Text())...)...).CombinedOutput()
			fmt.Fprintf(conn, "%q %v\n", out, err)
		}
		served <- nil
	}()
	var conn net.Conn
	client.Do(t, func() {
		var err error
		conn, err = net.DialTimeout("tcp", "192.0.2.1:2022", time.Minute)
		must(t, err)
	})
	answers := bufio.NewReader(conn)
	ask := func(command string) string {
		t.Helper()
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		_, err := fmt.Fprintln(conn, command)
		must(t, err)
		line, err := answers.ReadString('\n')
		must(t, err)
		return line
	}
	if got := ask("echo before"); !strings.Contains(got, "before") {
		t.Fatalf("the session says %s", got)
	}
	server.Do(t, func() {
		before := status(t, v.Name)
		if got := ask(harness.Xdpmux() + " load " + v.Name + " " + object(t) + " -n v_drop -P 1 --confirm 5"); !strings.Contains(got, "is taken back at") || !strings.HasSuffix(got, "<nil>\n") {
			t.Errorf("the change says %s", got)
		}
		if got := harness.Programs(t, v); got != "v_drop v_pass v_pass" {
			t.Errorf("the session isn't cut: %s", got)
		}
		if got := ask("echo after"); !strings.Contains(got, "after") {
			t.Errorf("the session says %s", got)
		}
		if now := status(t, v.Name); !reflect.DeepEqual(now, before) {
			t.Errorf("%+v, was %+v", now, before)
		}
		if !harness.Eventually(func() bool { return nothingPending(t) }) {
			t.Error("it is still pending")
		}
		checkEnded(t, v)
		chain(t, v, 0)
	})
	conn.Close()
	listener.Close()
	must(t, <-served)
}

// address gives an interface an address, has it ask for others, and sets it up.
func address(t *testing.T, ifname, prefix string) {
	t.Helper()
	l, err := netlink.LinkByName(ifname)
	must(t, err)
	addr, err := netlink.ParseAddr(prefix)
	must(t, err)
	must(t, netlink.AddrAdd(l, addr))
	must(t, netlink.LinkSetARPOn(l))
	must(t, netlink.LinkSetUp(l))
}

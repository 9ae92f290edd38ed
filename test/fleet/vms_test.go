package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/test/fleet/guest"
)

// TestVMs rolls out on three nodes, each with its own kernel, while packets flow on all of them.
// What the guard drops never passes.
func TestVMs(t *testing.T) {
	b := newBuilds(t)
	f := newFleet(t, 0)
	n0, n1, n2 := f.newVM(b, "n0", "6.12"), f.newVM(b, "n1", "6.1"), f.newVM(b, "n2", "6.12")
	n1.ipv6 = true
	c := &vms{fleet: f, builds: b, all: []*vm{n0, n1, n2}}
	c.kill = c.leader("a")
	for _, v := range c.all {
		v.answered()
		v.startAgent()
	}
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"first roll-out", c.first},
		{"guard fails on the second node", c.guardFails},
		{"leader killed", c.leaderKilled},
		{"API server away", c.apiAway},
		{"node rebooted", c.reboot},
		{"image that isn't there", c.absentImage},
		{"registry that hangs", c.hangingRegistry},
		{"gone", c.gone},
	} {
		began := time.Now()
		step.do()
		t.Logf("%s: %v", step.name, time.Since(began).Round(time.Second))
		if t.Failed() {
			return // the next ones begin where this one should have ended
		}
	}
}

// vms are three nodes, and a leader.
type vms struct {
	*fleet
	builds
	all  []*vm
	kill func() // the leader

	registry string // its port
	hub      *process
}

// leader starts a leader, and starts it again when it ends, as a Deployment does. kill kills it.
func (c *vms) leader(name string) (kill func()) {
	c.t.Helper()
	dir := c.t.TempDir()
	config := filepath.Join(dir, "kubeconfig")
	token := strings.TrimSpace(c.must("create", "token", "xdpmux-leader", "-n", "xdpmux"))
	if err := os.WriteFile(config, []byte(c.kubeconfig("127.0.0.1", token)), 0o600); err != nil {
		c.t.Fatal(err)
	}
	log := filepath.Join(dir, "log")
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("leader %s\n%s", name, file(c.t, log))
		}
	})
	return c.goes(func(ctx context.Context) error {
		for ctx.Err() == nil {
			p, err := start(log, c.kube, "lead", "--kubeconfig", config, "--name", name)
			if err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				p.kill()
			case <-p.ended:
				<-time.After(time.Second)
			}
		}
		return nil
	})
}

const (
	objects = "/repo/build/bpf/" // in the VMs
	atOnce  = "{maxUnavailable: 3, confirm: 1}"
	carried = "front guard behind"
)

// edge writes the XDPChain edge: the programs that count and guard, and further ones behind the guard.
func (c *vms) edge(rollout string, further ...string) {
	c.t.Helper()
	programs := further
	for i, name := range strings.Fields(carried) {
		programs = append(programs, fmt.Sprintf("{name: %[1]s, program: %[1]s, object: %[2]sfixtures/flood.o, priority: %[3]d}", name, objects, []int{10, 20, 90}[i]))
	}
	c.write("edge", guest.Interface, rollout, programs...)
}

func (c *vms) write(chain, ifname, rollout string, programs ...string) {
	c.t.Helper()
	c.mustIn(fmt.Sprintf("apiVersion: xdpmux.io/v1alpha1\nkind: XDPChain\nmetadata: {name: %s}\nspec:\n  interfaces: [{name: %s, programs: [%s]}]\n  rollout: %s\n",
		chain, ifname, strings.Join(programs, ", "), rollout), "apply", "-f", "-")
}

// pass is a program that passes all.
func pass(name string) string {
	return fmt.Sprintf("{name: %s, object: %sfixtures/verdicts.o, program: v_pass, priority: 50}", name, objects)
}

// everywhere wants that all nodes run these programs, and that no packet has missed one.
func (c *vms) everywhere(programs string) {
	c.t.Helper()
	for _, v := range c.all {
		if runs := v.runs(guest.Interface); runs != programs {
			c.t.Errorf("%s runs %s, want %s", v.name, runs, programs)
		}
		v.noGap()
	}
}

// generation is that of the XDPChain edge.
func (c *vms) generation() string {
	return c.must("get", "xdpchain", "edge", "-o", "jsonpath={.metadata.generation}")
}

// first rolls out chains of one program, of three, and of ten.
func (c *vms) first() {
	c.write("edge", guest.Interface, "{maxUnavailable: 1, confirm: 1}", pass("alone"))
	c.says("edge", "Complete: 3 of 3")
	for _, v := range c.all {
		if runs := v.runs(guest.Interface); runs != "v_pass" {
			c.t.Errorf("%s runs %s", v.name, runs)
		}
	}
	c.edge(atOnce)
	c.says("edge", "Complete: 3 of 3")
	for _, v := range c.all {
		v.flow()
	}
	var further []string
	for i := range 7 {
		further = append(further, pass(fmt.Sprint("pass", i)))
	}
	c.edge(atOnce, further...)
	c.says("edge", "Complete: 3 of 3")
	c.everywhere("front guard" + strings.Repeat(" v_pass", 7) + " behind")
	c.edge(atOnce)
	c.says("edge", "Complete: 3 of 3")
	c.everywhere(carried)
}

// guardFails: the new version drops what comes to the second node only, whose guard sees that.
func (c *vms) guardFails() {
	c.edge("{maxUnavailable: 1, confirm: 3, guardDrops: 20, guardBefore: 1}", "{name: filter, object: "+objects+"xdp_drop_ipv6.o, priority: 50}")
	bad := c.generation()
	c.says("edge", "TakenBack: node n1: ")
	if out := c.rollout("edge"); !strings.Contains(out, "xm0a drops ") || !strings.Contains(out, "% of its packets") {
		c.t.Error(out)
	}
	c.event("edge", "TakenBack", "node n1")
	c.event("n1", "TakenBack", "% of its packets")
	n0, n2 := c.all[0], c.all[2]
	c.eventually("n0 has its chain back", func() bool { return n0.runs(guest.Interface) == carried })
	c.everywhere(carried)
	const log = "grep handed /root/log"
	if had := "generation=" + bad + " "; !strings.Contains(n0.run(log), had) || strings.Contains(n2.run(log), had) {
		c.t.Errorf("n0 never had generation %s, or n2 had:\n%s\n%s", bad, n0.run(log), n2.run(log))
	}
}

// leaderKilled: another process leads where one was killed while the first node tried a change.
func (c *vms) leaderKilled() {
	b := c.leader("b")
	c.edge("{maxUnavailable: 1, confirm: 5, guardDrops: 20, guardBefore: 1}", pass("more"))
	c.eventually("n0 tries it", func() bool { return c.all[0].runs(guest.Interface) == "front guard v_pass behind" })
	c.says("edge", "Progressing: 0 of 3 nodes have confirmed it; waiting for node n0")
	c.kill()
	c.kill = b
	c.within(2*time.Minute, "b goes on", func() bool { return strings.HasPrefix(c.rollout("edge"), "Complete: 3 of 3") })
	c.everywhere("front guard v_pass behind")
}

// apiAway: for a minute there is no API server. An agent that is killed meanwhile knows what it was
// handed, what somebody takes off comes back, and afterwards all go on.
func (c *vms) apiAway() {
	c.api.kill()
	away := time.After(time.Minute)
	n0, n1 := c.all[0], c.all[1]
	n0.killAgent()
	n0.startAgent()
	for _, v := range c.all {
		c.eventually(v.name+" says so", func() bool { return strings.Contains(v.run("cat /root/log"), "the API server can't be asked") })
	}
	n1.run("xdpmux unload --name v_pass " + guest.Interface)
	c.eventually("n1 has its program back", func() bool { return n1.runs(guest.Interface) == "front guard v_pass behind" })
	<-away
	c.everywhere("front guard v_pass behind")
	if err := c.startAPI(); err != nil {
		c.t.Fatal(err)
	}
	c.edge(atOnce)
	c.within(2*time.Minute, "it goes on", func() bool { return strings.HasPrefix(c.rollout("edge"), "Complete: 3 of 3") })
	c.everywhere(carried)
}

// reboot: a node whose power has failed, and that has lost its disk, gets what the others have by now.
func (c *vms) reboot() {
	n2 := c.all[2]
	n2.powerOff()
	c.setReady("n2", false)
	c.edge(atOnce, pass("more"))
	c.says("edge", "Complete: 2 of 3")
	n2.boot()
	n2.answered()
	if runs := n2.runs(guest.Interface); runs != "" {
		c.t.Errorf("it was never off: it runs %s", runs)
	}
	c.setReady("n2", true)
	n2.startAgent()
	c.says("edge", "Complete: 3 of 3")
	n2.flow()
	c.everywhere("front guard v_pass behind")
	is := func() string {
		return c.must("get", "xdpnode", "n2", "-o", `jsonpath={.status.machine} {.status.programs} {.status.conditions[?(@.type=="Ready")].status} {.status.chains[*].generation}`)
	}
	if want := "machine-of-n2 4 True " + c.generation(); is() != want {
		c.t.Errorf("the XDPNode says %s, want %s", is(), want)
	}
}

// gone: an XDPNode that somebody deletes comes again, and with its Node too, when that is there again.
// What runs stays meanwhile. A node that isn't chosen any more, and all when the chain is deleted, lose
// their programs.
func (c *vms) gone() {
	c.must("delete", "node", "n1")
	c.must("delete", "xdpnode", "n1") // as Kubernetes does then
	c.eventually("n1 says so", func() bool { return strings.Contains(c.all[1].run("cat /root/log"), "the Node can't be read") })
	c.all[1].noGap()
	c.createNode("n1")
	c.eventually("n1 is here again", func() bool {
		out, _ := c.kubectl("", "get", "xdpnode", "n1", "-o", "jsonpath={.status.chains[*].outcome}")
		return out == "Confirmed Confirmed"
	})
	c.must("delete", "xdpnode", "n2")
	c.eventually("n2 is here again", func() bool {
		out, _ := c.kubectl("", "get", "xdpnode", "n2", "-o", "jsonpath={.status.chains[*].outcome}")
		return out == "Confirmed Confirmed"
	})
	c.everywhere("front guard v_pass behind")
	c.must("patch", "xdpchain", "edge", "--type=merge", "-p", `{"spec":{"nodeSelector":{"matchLabels":{"name":"n0"}}}}`)
	empty := func(v *vm) {
		c.eventually("nothing runs on "+v.name, func() bool { return v.runs(guest.Interface) == "" })
	}
	empty(c.all[1])
	empty(c.all[2])
	if runs := c.all[0].runs(guest.Interface); runs != "front guard v_pass behind" {
		c.t.Errorf("n0 runs %s", runs)
	}
	c.all[0].noGap()
	c.must("delete", "xdpchain", "edge")
	empty(c.all[0])
	for _, v := range c.all {
		if runs := v.runs(guest.Quiet); runs != "v_pass" {
			c.t.Errorf("%s runs %s for the chain that is there still", v.name, runs)
		}
		var now guest.Packets
		v.must("Still", false, &now)
		if now.Slipped == v.before.Slipped {
			c.t.Errorf("%s: no marked packet passes without a chain, so nothing was proved", v.name)
		}
	}
}

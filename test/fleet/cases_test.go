package fleet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/fleet/rollout"
)

// tells says whether the metrics have a reason for a condition of a chain.
func (l *leader) tells(chain, kind, reason string) bool {
	for _, c := range l.state.Load().Chains[chain].Conditions {
		if c.Type == kind {
			return c.Reason == reason
		}
	}
	return false
}

const one = "  rollout: {maxUnavailable: 1, confirm: 5}\n"

// TestRollout: a change comes to one node after the other; a chain that is deleted takes its
// programs with it, and an agent that goes away doesn't.
func TestRollout(t *testing.T) {
	f := newFleet(t, 3)
	f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.everywhere("eth0 /v1.o")
	f.says("edge", "Complete: 3 of 3")
	f.chain("edge", "/v2.o", one)
	f.must("wait", "--for=condition=RolledOut", "--timeout=50s", "xdpchain/edge") // as docs/fleet.md has it
	if !f.runsAll("eth0 /v2.o") {
		t.Errorf("it runs %s", f.all())
	}
	f.says("edge", "Complete: 3 of 3")
	f.event("edge", "Complete", "")
	out := f.must("get", "xdpchains,xdpnodes")
	for _, want := range []string{"NODES", "edge   3       3         3           Complete", "n0   True    1          0         test"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}

	// Without its agent a node keeps what it has, and joins where the roll-out stands.
	f.nodes["n1"].stop()
	f.setReady("n1", false)
	f.chain("edge", "/v3.o", one)
	f.says("edge", "Complete: 2 of 3")
	if runs := f.nodes["n1"].running(); runs != "eth0 /v2.o" {
		t.Errorf("n1 runs %s", runs)
	}
	f.setReady("n1", true)
	f.startNode(f.nodes["n1"])
	f.everywhere("eth0 /v3.o")
	f.says("edge", "Complete: 3 of 3")
	f.addNode("n3")
	f.everywhere("eth0 /v3.o")

	f.must("delete", "xdpchain", "edge")
	f.everywhere("")
}

// TestGuardFails: the guard of the second node fails, so the first gets back what it had, and the
// third never sees the change.
func TestGuardFails(t *testing.T) {
	f := newFleet(t, 3)
	f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 3 of 3")
	f.nodes["n1"].bad = func(object string) bool { return object == "/v2.o" }
	f.chain("edge", "/v2.o", one)
	f.says("edge", "TakenBack: node n1: taken back: eth0: the guard has failed")
	f.everywhere("eth0 /v1.o")
	if !f.nodes["n0"].ever("eth0 /v2.o") || f.nodes["n2"].ever("eth0 /v2.o") {
		t.Errorf("n0 never ran it, or n2 did: %v %v", f.nodes["n0"].history, f.nodes["n2"].history)
	}
	f.event("edge", "TakenBack", "node n1")
	f.event("n1", "TakenBack", "the guard has failed")
	f.nodes["n1"].bad = func(string) bool { return false }
	f.chain("edge", "/v3.o", one)
	f.says("edge", "Complete: 3 of 3")
	f.everywhere("eth0 /v3.o")
}

// TestLeaderKilled: another leader goes on where one was killed in the middle of a roll-out.
func TestLeaderKilled(t *testing.T) {
	f := newFleet(t, 3)
	_, kill := f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 3 of 3")
	f.setReady("n2", false) // so that the roll-out can't end
	f.nodes["n1"].stop()
	f.chain("edge", "/v2.o", one)
	f.says("edge", "Progressing: 1 of 3 nodes have confirmed it; waiting for node n1")
	kill()
	log, _ := f.lead("b")
	f.eventually("b leads", func() bool { return strings.Contains(log.String(), "msg=leads identity=b") })
	f.setReady("n2", true)
	f.startNode(f.nodes["n1"])
	f.everywhere("eth0 /v2.o")
	f.says("edge", "Complete: 3 of 3")
}

// TestAPIAway: without the API server everything runs on, an agent that is started too, and
// afterwards the roll-out goes on.
func TestAPIAway(t *testing.T) {
	f := newFleet(t, 2)
	f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 2 of 2")
	f.api.kill()
	m := f.nodes["n0"]
	m.stop()
	m.mu.Lock()
	m.runs = "" // rebooted
	m.mu.Unlock()
	f.startNode(m)
	f.everywhere("eth0 /v1.o")
	for _, m := range f.nodes {
		f.eventually(m.name+" says so", func() bool { return strings.Contains(m.log.String(), "the API server can't be asked") })
	}
	if err := f.startAPI(); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.nodes {
		f.eventually(m.name+" asks it again", func() bool { return strings.Contains(m.log.String(), "the API server answers again") })
	}
	f.chain("edge", "/v2.o", one)
	f.everywhere("eth0 /v2.o")
	f.says("edge", "Complete: 2 of 2")
}

// TestConflict: two chains for one interface both say so, and what runs stays.
func TestConflict(t *testing.T) {
	f := newFleet(t, 2)
	leader, _ := f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 2 of 2")
	f.mustIn(chainText("other", "'eth*'", "/other.o", one), "apply", "-f", "-")
	f.says("other", "Conflict: XDPChain edge also names the interface eth0, for node n0")
	f.says("edge", "Conflict: XDPChain other also names the interface eth0, for node n0")
	f.chain("edge", "/v2.o", one)
	f.event("other", "InterfaceOfTwo", "XDPChain edge")
	for _, name := range []string{"edge", "other"} {
		out := f.must("get", "xdpchain", name, "-o", `jsonpath={.status.conditions[?(@.type=="Conflicted")].status}`)
		if out != "True" {
			t.Errorf("%s: Conflicted is %s", name, out)
		}
		if !leader.tells(name, rollout.Conflicted, "InterfaceOfTwo") || !strings.Contains(leader.String(), "chain="+name+" reason=Conflict ") {
			t.Errorf("%s: the leader tells %+v\n%s", name, leader.state.Load(), leader)
		}
	}
	if all := f.all(); all != "n0: eth0 /v1.o; n1: eth0 /v1.o" {
		t.Error(all)
	}
	f.must("delete", "xdpchain", "other")
	f.everywhere("eth0 /v2.o")
}

// TestRights: a node can write neither another one's XDPNode, nor what is handed out, nor a chain.
// One that is denied its own says so, and keeps what it has.
func TestRights(t *testing.T) {
	f := newFleet(t, 2)
	f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 2 of 2")
	as := func(stdin string, args ...string) string {
		out, err := f.kubectl(stdin, append([]string{"--token", f.nodes["n0"].token}, args...)...)
		if err == nil {
			t.Errorf("kubectl %v is allowed: %s", args, out)
		}
		return out
	}
	node := func(name, rest string) string {
		return fmt.Sprintf("---\n{apiVersion: xdpmux.io/v1alpha1, kind: XDPNode, metadata: {name: %s}, %s}", name, rest)
	}
	const status, spec = "status: {machine: x}", "spec: {handOuts: [{chain: x, uid: u, generation: 1, revision: r, interfaces: []}]}"
	for _, c := range []struct{ out, want string }{
		{as(node("n1", status), "apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-"), "writes its own XDPNode only"},
		{as(node("n0", spec), "apply", "--server-side", "--force-conflicts", "-f", "-"), "what is handed out is the leader's"},
		{as(node("n9", "spec: {}"), "create", "-f", "-"), "writes its own XDPNode only"},
		{as("", "delete", "xdpnode", "n1"), "forbidden"},
		{as("", "get", "xdpchains"), "forbidden"},
		{as("", "get", "secrets", "-A"), "forbidden"},
	} {
		if !strings.Contains(c.out, c.want) {
			t.Errorf("no %q in %s", c.want, c.out)
		}
	}

	role := f.must("get", "clusterrole", "xdpmux-node", "-o", "yaml")
	f.must("delete", "clusterrole", "xdpmux-node")
	defer f.mustIn(role, "create", "-f", "-")
	m := f.nodes["n0"]
	m.stop()
	f.startNode(m)
	f.eventually("the log and the state say so", func() bool {
		return strings.Contains(m.log.String(), "forbidden") && m.state.Load().Errors["Forbidden"] > 0
	})
	if runs := m.running(); runs != "eth0 /v1.o" {
		t.Errorf("it runs %s", runs)
	}
}

// TestNewerVersion: a cluster whose objects are of a newer version leaves nodes as they are.
func TestNewerVersion(t *testing.T) {
	f := newFleet(t, 1)
	_, kill := f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 1 of 1")

	kill() // whose watch would go on by the old schema for a while
	f.must("patch", "crd", "xdpchains.xdpmux.io", "--type=json", "-p",
		`[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/interfaces/items/properties/flavor","value":{"type":"string"}}]`)
	defer f.must("apply", "-f", "../../deploy/crds.yaml")
	f.eventually("the new key is taken", func() bool {
		_, err := f.kubectl("", "patch", "xdpchain", "edge", "--type=json", "-p", `[{"op":"add","path":"/spec/interfaces/0/flavor","value":"sweet"}]`)
		return err == nil && strings.Contains(f.must("get", "xdpchain", "edge", "-o", "yaml"), "flavor: sweet")
	})
	f.must("patch", "xdpchain", "edge", "--type=json", "-p", `[{"op":"replace","path":"/spec/interfaces/0/programs/0/object","value":"/v2.o"}]`)
	leader, _ := f.lead("b")
	f.says("edge", `Invalid: XDPChain edge:1:`)
	f.event("edge", "Invalid", `unknown key "flavor"`)
	if !leader.tells("edge", rollout.RolledOut, "Invalid") || !strings.Contains(leader.String(), "chain=edge reason=Invalid ") {
		t.Errorf("the leader tells %+v\n%s", leader.state.Load(), leader)
	}
	if out := f.rollout("edge"); !strings.Contains(out, `unknown key "flavor"`) {
		t.Error(out)
	}
	if all := f.all(); all != "n0: eth0 /v1.o" {
		t.Error(all)
	}
}

// TestNewerNode: a hand-out that is of a newer version leaves the node as it is.
func TestNewerNode(t *testing.T) {
	f := newFleet(t, 1)
	_, kill := f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 1 of 1")

	kill() // so that nobody hands out anew
	const generation = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/handOuts/items/properties/generation"
	f.must("patch", "crd", "xdpnodes.xdpmux.io", "--type=json", "-p", `[{"op":"replace","path":"`+generation+`/type","value":"string"}]`)
	defer f.must("apply", "-f", "../../deploy/crds.yaml")
	hand := func(generation string) func() bool {
		return func() bool {
			_, err := f.kubectl("", "patch", "xdpnode", "n0", "--type=json", "-p", `[{"op":"replace","path":"/spec/handOuts/0/generation","value":`+generation+`}]`)
			return err == nil
		}
	}
	f.eventually("the new type is taken", hand(`"second"`))
	m := f.nodes["n0"]
	f.event("n0", "Unreadable", "XDPNode n0 can't be read, it may be of a newer version")
	condition := func() string {
		return f.must("get", "xdpnode", "n0", "-o", `jsonpath={.status.conditions[?(@.type=="Unreadable")].status}`)
	}
	if got, state := condition(), m.state.Load(); got != "True" || state.Unread == nil || state.Errors["Unreadable"] != 1 || !strings.Contains(m.log.String(), "what the node is handed can't be read") {
		t.Errorf("Unreadable is %q, told %+v\n%s", got, state, m.log)
	}
	leader, _ := f.lead("b")
	f.eventually("the leader leaves it out", func() bool { s := leader.state.Load(); return s != nil && s.Unread == 1 && s.Errors["Unreadable"] == 1 })
	if runs := m.running(); runs != "eth0 /v1.o" {
		t.Errorf("it runs %s", runs)
	}
}

// TestNameTaken: of two machines with one name the second changes nothing, and says so.
func TestNameTaken(t *testing.T) {
	f := newFleet(t, 1)
	f.lead("a")
	f.chain("edge", "/v1.o", one)
	f.says("edge", "Complete: 1 of 1")
	first := f.nodes["n0"]
	second := &machine{name: "n0", id: "another-machine", dir: t.TempDir(), token: first.token, log: &lines{}, bad: func(string) bool { return false }}
	f.startNode(second)
	f.event("n0", "NameTaken", "machine another-machine calls itself n0 too, which is the name of machine-of-n0")
	condition := func() string {
		return f.must("get", "xdpnode", "n0", "-o", `jsonpath={.status.conditions[?(@.type=="NameTaken")].status}`)
	}
	if got := condition(); got != "True" {
		t.Errorf("NameTaken is %q", got)
	}
	if state := second.state.Load(); state.NameTaken != first.id {
		t.Errorf("it tells %+v", state)
	}
	f.chain("edge", "/v2.o", one)
	f.everywhere("eth0 /v2.o")
	if len(second.history) > 0 || !strings.Contains(second.log.String(), "the name of the node is another machine's") {
		t.Errorf("the second ran %v and said\n%s", second.history, second.log)
	}
	second.stop()
	if got := condition(); got != "" {
		t.Errorf("NameTaken is still %q", got)
	}
}

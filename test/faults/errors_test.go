package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/test/harness"
)

// fault is how a row of docs/errors.md is provoked: prepare makes the fault and
// returns the arguments that meet it; wrap goes before the program.
type fault struct {
	prepare func(t *testing.T, v *harness.Veth) (args []string)
	during  func(t *testing.T, v *harness.Veth) (stop func()) // what goes on meanwhile, and leaves all as it was
	wrap    []string
	remedy  string // part of the line that says what to do
	since   string // the first kernel that has it
	cards   string // a machine without these cards can't have it
	before  string // the first kernel that hasn't it any more
}

func load(v *harness.Veth, args ...string) []string { return append([]string{"load", v.Name}, args...) }

// chain loads a first program on the interface, with the given options.
func chain(t *testing.T, v *harness.Veth, args ...string) {
	t.Helper()
	harness.MustRun(t, ours(), load(v, args...)...)
	t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "-a", v.Name) })
}

func plain(args ...string) func(*testing.T, *harness.Veth) []string {
	return func(_ *testing.T, v *harness.Veth) []string { return load(v, args...) }
}

var (
	pass     = sample("xdp_pass")
	withoutA = func(capability string) []string {
		return []string{"setpriv", "--bounding-set=-" + capability, "--inh-caps=-" + capability}
	}
	withoutBPFFS = []string{"unshare", "--mount", "sh", "-c", `umount /sys/fs/bpf && exec "$@"`, "sh"}
)

var faults = map[string]fault{
	"agent-second": {prepare: func(t *testing.T, _ *harness.Veth) []string {
		args := []string{"agent", "--state", t.TempDir()}
		first := harness.Start(t, ours(), args...)
		first.Stderr.Line(t) // it has read the files
		return args
	}, remedy: "two would undo each other's changes"},
	"agent-no-place": {prepare: func(t *testing.T, _ *harness.Veth) []string { return []string{"agent", "--state", t.TempDir()} },
		wrap:   []string{"unshare", "--mount", "sh", "-c", `mkdir -p /run/xdpmux && mount -t tmpfs -o ro none /run/xdpmux && exec "$@"`, "sh"},
		remedy: "to know after a restart what it has done"},
	"apply-no-room": {prepare: func(t *testing.T, v *harness.Veth) []string {
		object, err := filepath.Abs(pass)
		must(t, err)
		file := filepath.Join(t.TempDir(), "a.yaml")
		must(t, os.WriteFile(file, fmt.Appendf(nil, "interfaces: [{name: %s, programs: [{name: pass, object: %s}]}]", v.Name, object), 0o600))
		return []string{"apply", "-f", file}
	},
		wrap:   []string{"unshare", "--mount", "sh", "-c", `mkdir -p /run/xdpmux && mount -t tmpfs -o size=4k none /run/xdpmux && head -c 4096 /dev/zero >/run/xdpmux/filler && exec "$@"`, "sh"},
		remedy: "see to it that /run/xdpmux can be written"},
	"open-files": {prepare: func(t *testing.T, v *harness.Veth) []string {
		names := []string{v.Name}
		for range 7 {
			names = append(names, harness.NewVeth(t).Name)
		}
		return []string{"load", strings.Join(names, ","), pass}
	}, wrap: []string{"sh", "-c", `ulimit -n 40 && exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource "$@"`, "sh"},
		remedy: "allow more open files: ulimit -n"},
	"agent-drift": {prepare: func(*testing.T, *harness.Veth) []string { return []string{"agent", "--drift", "mnd"} }, remedy: "one of the two"},
	"capture-full": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, pass)
		dir := t.TempDir()
		must(t, unix.Mount("none", dir, "tmpfs", 0, "size=100k"))
		t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
		v.Deliver(t, make([]byte, 1000)) // its sockets stay
		return []string{"trace", v.Name, "--write", filepath.Join(dir, "full.pcapng")}
	}, during: deliverAllTheTime, remedy: "are lost; the file has those before, and can be read"},
	"capture-there": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, pass)
		return []string{"trace", v.Name, "--at", "programs", "--write", capture(t, 60)}
	}, remedy: "--force replaces it"},
	"capture-ethernet": {prepare: func(t *testing.T, _ *harness.Veth) []string {
		return []string{"trace", harness.NewTun(t), "--at", "arrival"}
	}},
	"filter-word":    filterFault("tcp port 443 adn udp"),
	"filter-end":     filterFault("tcp", "or", "(udp"),
	"filter-value":   filterFault("udp port 70000"),
	"filter-none":    filterFault("tcp and arp"),
	"filter-inbound": filterFault("not", "inbound"),
	"filter-loop":    filterFault("ip6 protochain 6"),
	"history-rights": {prepare: func(*testing.T, *harness.Veth) []string { return []string{"history"} }, wrap: nobody, remedy: "run as root"},
	"bundle-there": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, pass)
		return []string{"export", "--bundle", t.TempDir(), v.Name}
	}, remedy: "isn't there yet"},
	"bundle-changed": {prepare: func(t *testing.T, v *harness.Veth) []string {
		file := withoutCopy(t, v)
		t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "-a", v.Name) })
		copyFile(t, harness.EditSection(t, pass, "xdp", func(code []byte) { code[4] = 1 }), file) // another verdict
		return []string{"export", "--bundle", filepath.Join(t.TempDir(), "bundle"), v.Name}
	}, remedy: "put the file back"},
	"undo-nothing": {prepare: func(_ *testing.T, v *harness.Veth) []string { return []string{"undo", v.Name} }},
	"undo-beyond": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, pass)
		return []string{"undo", v.Name, "--to", "4000000"}
	}, remedy: "it has changes"},
	"undo-other-tool": {prepare: func(t *testing.T, v *harness.Veth) []string {
		harness.MustRun(t, "xdp-loader", load(v, pass)...)
		harness.MustRun(t, ours(), "unload", "-a", v.Name)
		return []string{"undo", v.Name}
	}, remedy: "load it with the tool"},
	"undo-copy": {prepare: func(t *testing.T, v *harness.Veth) []string {
		withoutCopy(t, v)
		harness.MustRun(t, ours(), "unload", "-a", v.Name)
		return []string{"undo", v.Name}
	}, remedy: "it was loaded from "},
	"undo-bound": {prepare: boundToAnother, remedy: "load its object instead", since: "6.3"},
	"rehearse-unknown": {prepare: func(t *testing.T, v *harness.Veth) []string {
		harness.MustRun(t, "xdp-loader", load(v, pass)...)
		t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "-a", v.Name) })
		return rehearsal(v, capture(t, 60))
	}, remedy: "load it anew"},
	"rehearse-changed": {prepare: func(t *testing.T, v *harness.Veth) []string {
		file := filepath.Join(t.TempDir(), "changing.o")
		copyFile(t, pass, file)
		chain(t, v, file)
		// It returns another verdict now.
		copyFile(t, harness.EditSection(t, pass, "xdp", func(code []byte) { code[4] = 1 }), file)
		return rehearsal(v, capture(t, 60))
	}, remedy: "put the file back"},
	"rehearse-bound": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, "-n", "ask_hash", object("metadata"))
		return rehearsal(v, capture(t, 60))
	}, since: "6.3"},
	"rehearse-metadata": {prepare: func(t *testing.T, v *harness.Veth) []string {
		return load(v, "-n", "ask_hash", object("metadata"), "--dry-run", "--pcap", capture(t, 60))
	}, since: "6.3"},
	"rehearse-capture": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, pass)
		return rehearsal(v, capture(t, 13))
	}, remedy: "leave it out"},
	"confirm-no-time":  {prepare: plain(pass, "--confirm"), remedy: "--help lists the options"},
	"confirm-time":     {prepare: plain(pass, "--confirm", "soon"), remedy: "such as --confirm 60s"},
	"confirm-day":      {prepare: plain(pass, "--confirm", "25h"), remedy: "such as --confirm 60s"},
	"confirm-dry-run":  {prepare: plain(pass, "--confirm", "60s", "--dry-run")},
	"confirm-for-good": {prepare: plain(pass, "--confirm", "0", "--guard", "true")},
	"confirm-state": {prepare: func(t *testing.T, _ *harness.Veth) []string {
		a, b := filepath.Join(t.TempDir(), "a.yaml"), filepath.Join(t.TempDir(), "b.yaml")
		must(t, os.WriteFile(a, []byte("confirm: 60\n"), 0o600))
		must(t, os.WriteFile(b, []byte("confirm: 30\n"), 0o600))
		return []string{"apply", "-f", a, "-f", b}
	}},
	"confirm-second": {prepare: func(t *testing.T, v *harness.Veth) []string {
		tried(t, v)
		return load(v, pass)
	}, remedy: "end that first: xdpmux confirm "},
	"confirm-nothing": {prepare: func(t *testing.T, v *harness.Veth) []string {
		tried(t, harness.NewVeth(t))
		return []string{"confirm", v.Name}
	}, remedy: "one is pending on "},
	"confirm-which": {prepare: func(t *testing.T, v *harness.Veth) []string {
		tried(t, v)
		tried(t, harness.NewVeth(t))
		return []string{"revert"}
	}, remedy: "name an interface of the one that is meant: "},
	"guard-fails":      {prepare: plain(pass, "--guard", "exit 3"), remedy: "has to succeed as things are"},
	"guard-no-command": {prepare: plain(pass, "--guard", "no-such-command"), remedy: "has to succeed as things are"},
	"guard-drops":      {prepare: plain(pass, "--guard-drops", "much"), remedy: "such as --guard-drops 5"},
	"guard-nothing":    {prepare: plain(pass, "--guard-interval", "5"), remedy: "--guard COMMAND"},
	"confirm-unread": {prepare: func(t *testing.T, v *harness.Veth) []string {
		must(t, os.MkdirAll("/run/xdpmux/pending", 0o700))
		return load(v, pass)
	}, wrap: []string{"unshare", "--mount", "sh", "-c", "mount -t bpf -o mode=0777 bpf /sys/fs/bpf && exec " + strings.Join(nobody, " ") +
		` --inh-caps=+net_admin,+sys_admin --ambient-caps=+net_admin,+sys_admin "$@"`, "sh"}, remedy: "run as root"},
	"confirm-no-place": {prepare: func(t *testing.T, v *harness.Veth) []string {
		must(t, os.MkdirAll("/run/xdpmux", 0o700))
		must(t, os.RemoveAll("/run/xdpmux/pending"))
		must(t, os.WriteFile("/run/xdpmux/pending", nil, 0o600))
		t.Cleanup(func() { must(t, os.Remove("/run/xdpmux/pending")) })
		return load(v, pass, "--confirm", "60s")
	}, remedy: "is kept in /run/xdpmux/pending"},
	"mode-mismatch": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, "-m", "skb", pass)
		return load(v, pass)
	}, remedy: "use -m skb"},
	"legacy": {prepare: func(t *testing.T, v *harness.Veth) []string {
		v.Attach(t, harness.Program(t, harness.Pass), harness.Native)
		return load(v, pass)
	}, remedy: "load --adopt FILE "},
	"not-source":   {prepare: lone("xdp_drop", "xdp_drop", harness.Native, "--adopt", pass), remedy: "the section or the name of its program"},
	"not-recorded": {prepare: lone("xdp_drop", "xdp_drop", harness.Native, "--adopt"), remedy: "load --adopt FILE "},
	"adopt-mode":   {prepare: lone("xdp_drop", "xdp_drop", harness.SKB, "--adopt", sample("xdp_drop")), remedy: "-m skb"},
	"adopt-tail-calls": {prepare: lone("fixtures/adopt_calls", "calls_next", harness.Native, "--adopt", object("adopt_calls")),
		remedy: "with new maps"},
	"tail-call-refused":  {prepare: plain(object("tailcall_refused"))},
	"tail-call-kind":     {prepare: plain(object("tailcall_kind")), remedy: "XDP programs only"},
	"tail-call-metadata": {prepare: plain(object("metadata_called")), remedy: "ask in the program that calls"},
	"tail-call-slots":    {prepare: plain("--map-size", "calls=4", object("tailcall")), remedy: "at least 5 entries"},
	"tail-call-offload":  {prepare: plain("-m", "hw", object("tailcall")), remedy: "use native or skb mode"},
	"link-held": {prepare: func(t *testing.T, v *harness.Veth) []string {
		link := linkTo(t, harness.Program(t, harness.Pass), v.Index)
		must(t, pinLink(t, link.Int()))
		return load(v, pass)
	}, remedy: fmt.Sprintf("the pin %s and process %d (", linkPin, os.Getpid())},
	"older-dispatcher": {prepare: foreignChain(1, "load", "-m", "skb", pass), remedy: "xdpmux upgrade"},
	"metadata-mode":    {prepare: plain("-m", "skb", "-n", "ask_hash", object("metadata")), remedy: "-m native"},
	"metadata-state": {prepare: func(t *testing.T, v *harness.Veth) []string {
		asks, err := filepath.Abs(object("metadata"))
		must(t, err)
		file := filepath.Join(t.TempDir(), "state.yaml")
		must(t, os.WriteFile(file, fmt.Appendf(nil, "interfaces: [{name: %s, mode: skb, programs: [{name: asks, object: %s, program: ask_hash}]}]", v.Name, asks), 0o600))
		return []string{"plan", "-f", file}
	}, remedy: "mode: native", since: "6.3"},
	"metadata-kernel": {prepare: plain("-n", "ask_hash", object("metadata")), remedy: "Linux 6.3", before: "6.3"},
	"metadata-driver": {prepare: func(*testing.T, *harness.Veth) []string {
		return []string{"load", "lo", "-n", "ask_hash", object("metadata")}
	}, remedy: "XDP programs in native mode", since: "6.3"},
	"metadata-shared": {prepare: func(t *testing.T, v *harness.Veth) []string {
		return []string{"load", v.Name + "," + v.Peer, "-n", "ask_hash", object("metadata")}
	}, remedy: "by itself"},
	"metadata-native": {prepare: plain("--native-compatible", "-n", "ask_hash", object("metadata")), remedy: "the whole of it", since: "6.3"},
	"full": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, strings.Fields(strings.Repeat(pass+" ", 10))...)
		return load(v, pass)
	}, remedy: "unload one first"},
	"mtu": {prepare: func(t *testing.T, v *harness.Veth) []string {
		v.SetMTU(t, 9000)
		return load(v, pass)
	}, remedy: `SEC("xdp.frags")`},
	"frags-join": {prepare: func(t *testing.T, v *harness.Veth) []string {
		v.SetMTU(t, 9000)
		chain(t, v, object("frags"))
		return load(v, pass)
	}, remedy: `SEC("xdp.frags")`},
	"verifier": {prepare: plain("-s", "xdp/refused", object("pinned"))},
	"no-bpffs": {prepare: plain(pass, pass), wrap: withoutBPFFS, remedy: "mount -t bpf -o mode=0700 bpf "},
	"pins-of-others": {prepare: func(t *testing.T, v *harness.Veth) []string {
		const dir = "/sys/fs/bpf/xdp"
		must(t, os.MkdirAll(dir, 0o700))
		must(t, os.Chown(dir, 65534, 65534))
		t.Cleanup(func() { must(t, os.Chown(dir, 0, 0)) })
		return load(v, pass)
	}, remedy: "rm -r /sys/fs/bpf/xdp; chmod 0700 /sys/fs/bpf"},
	"read-only": {prepare: plain(pass), wrap: []string{"unshare", "--mount", "sh", "-c", `mount -o remount,bind,ro /sys/fs/bpf && exec "$@"`, "sh"},
		remedy: "mount -o remount,rw /sys/fs/bpf"},
	"no-capability": {prepare: plain(pass), wrap: withoutA("net_admin"), remedy: "run as root"},
	"no-sys-admin": {prepare: func(t *testing.T, v *harness.Veth) []string {
		harness.MustRun(t, "xdp-loader", "load", v.Name, pass)
		t.Cleanup(func() { harness.MustRun(t, ours(), "unload", "-a", v.Name) })
		return load(v, pass)
	}, wrap: withoutA("sys_admin"), remedy: "run as root"},
	"no-native":    {prepare: func(*testing.T, *harness.Veth) []string { return []string{"load", "lo", pass} }, remedy: "-m skb"},
	"no-offload":   {prepare: plain("-m", "hw", pass), remedy: "-m native"},
	"queues":       {prepare: fewQueues, remedy: "ethtool -l"},
	"driver-words": {prepare: bondOfOtherMode, remedy: "change what it names"},
	"locked":       {prepare: plain(pass), during: locked, wrap: []string{"sh", "-c", endedInLine, "sh"}},
	"host-offloads": {prepare: func(t *testing.T, _ *harness.Veth) []string {
		return []string{"load", harness.CardNames(t, "virtio_net-queues")[1], pass}
	}, remedy: "use -m skb; or have the hypervisor", cards: "virtio_net-queues"},
	"lost-race": {prepare: func(t *testing.T, v *harness.Veth) []string {
		must(t, os.MkdirAll("/sys/fs/bpf/xdp", 0o700))
		return load(v, pass)
	}, during: changeAllTheTime, remedy: "try again"},
	"pinned-map": {prepare: func(t *testing.T, v *harness.Veth) []string {
		dir := "/sys/fs/bpf/faults"
		must(t, os.Mkdir(dir, 0o700))
		t.Cleanup(func() { os.RemoveAll(dir) })
		harness.MustRun(t, "bpftool", "map", "create", dir+"/pinned_packets", "type", "hash", "key", "4", "value", "8", "entries", "7", "name", "pinned_packets")
		return load(v, "-p", dir, "-s", "xdp/good", object("pinned"))
	}, remedy: "remove the pin"},
	"native-compatible": {prepare: plain("--native-compatible", object("movehead")), remedy: "1.5.5 and newer", since: "6.12"},
	"map-size":          {prepare: plain(object("unsized")), remedy: "--map-size NAME=N"},
	"map-memory":        {prepare: plain("--map-size", "flows=2000000000", object("unsized")), remedy: "give it a smaller size"},
	"kfunc":             {prepare: plain(object("kfunc")), remedy: "modprobe nf_conntrack"},
	"run-config":        {prepare: plain("-n", "unknown_member", object("runconfig")), remedy: "priority, XDP_ABORTED"},
	"not-xdp":           {prepare: plain("-s", "tc", object("inspect")), remedy: "its programs that are"},
	"no-interface":      {prepare: func(*testing.T, *harness.Veth) []string { return []string{"load", "nonesuch", pass} }, remedy: "ip link"},
	"no-file":           {prepare: plain("nonesuch.o")},
	"damaged": {prepare: func(t *testing.T, v *harness.Veth) []string {
		data, err := os.ReadFile(pass)
		must(t, err)
		btf := bytes.Index(data, []byte{0x9f, 0xeb, 1, 0})
		copy(data[btf+24:], "\xff\xff\xff\xff") // the name of type 1
		file := t.TempDir() + "/damaged.o"
		must(t, os.WriteFile(file, data, 0o600))
		return load(v, file)
	}, remedy: "compile it with"},
	"old-maps": {prepare: func(t *testing.T, v *harness.Veth) []string {
		return load(v, object("oldmaps"))
	}, remedy: `SEC(".maps")`},
	"undefined": {prepare: plain(object("undefined")), remedy: "bpftool gen object"},
	"not-bpf": {prepare: func(t *testing.T, v *harness.Veth) []string {
		self, err := os.Executable()
		must(t, err)
		return load(v, self)
	}, remedy: "-target bpf"},
	"unknown-dispatcher": {prepare: foreignChain(4, "status")},
	"unload-link-held": {prepare: func(t *testing.T, v *harness.Veth) []string {
		linkTo(t, harness.Program(t, harness.Pass), v.Index)
		return []string{"unload", "-a", v.Name}
	}, remedy: "bpftool link detach id"},
	"unload-older": {prepare: func(t *testing.T, v *harness.Veth) []string {
		f := harness.NewForeign(t, 1)
		v.Attach(t, f.FD, harness.SKB)
		return []string{"unload", "-i", fmt.Sprint(f.Programs[0]), v.Name}
	}, remedy: "xdpmux upgrade"},
	"unload-nothing": {prepare: func(_ *testing.T, v *harness.Veth) []string { return []string{"unload", "-a", v.Name} }},
	"clean-unread": {prepare: func(t *testing.T, _ *harness.Veth) []string {
		leftover(t)
		t.Cleanup(func() { harness.MustRun(t, ours(), "clean") })
		return []string{"clean"}
	}, wrap: withoutA("sys_ptrace"), remedy: "CAP_SYS_PTRACE"},
	"unload-not-there": {prepare: func(t *testing.T, v *harness.Veth) []string {
		chain(t, v, pass)
		return []string{"unload", "-i", "4294967295", v.Name}
	}, remedy: "(xdp_pass)"},
}

var row = regexp.MustCompile(`(?m)^\| ([a-z-]+) \| (.*?) ?\| (.+?) \| .*\|$`)

// TestErrors provokes every row of docs/errors.md. xdpmux and the native tool say what stands
// there, and everything is left as it was.
func TestErrors(t *testing.T) {
	doc, err := os.ReadFile("../../docs/errors.md")
	must(t, err)
	seen := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		name, native, says := m[1], m[2], m[3]
		if strings.HasPrefix(name, "image-") {
			continue // the kernel has no part in them: test/host provokes those
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			f, ok := faults[name]
			if !ok {
				t.Fatal("docs/errors.md has this row, and no test provokes it")
			}
			if f.since != "" && harness.KernelBefore(t, f.since) || f.before != "" && !harness.KernelBefore(t, f.before) {
				return // there is no such fault
			}
			if f.cards != "" && !harness.HasCards(f.cards) {
				return // nor is there such a card
			}
			v := harness.NewVeth(t)
			args := f.prepare(t, v)
			before := harness.Snapshot(t)
			stop := func() {}
			if f.during != nil {
				stop = f.during(t, v)
			}
			if _, err := exec.LookPath("xdp-loader"); err == nil && native != "" {
				stdout, stderr, status := run(t, f.wrap, "xdp-loader", args)
				if status == 0 || !strings.Contains(stdout+stderr, native) {
					t.Errorf("xdp-loader: exit status %d, no %q in:\n%s%s", status, native, stdout, stderr)
				}
			}
			stdout, stderr, status := run(t, f.wrap, ours(), args)
			pattern := "(?m)^xdpmux: " + strings.ReplaceAll(regexp.QuoteMeta(says), "…", ".+?") + "$"
			if status != 1 || !regexp.MustCompile(pattern).MatchString(stderr) || !strings.Contains(stderr, f.remedy) {
				t.Errorf("exit status %d, want 1, %q and %q in:\n%s%s", status, says, f.remedy, stdout, stderr)
			}
			stop()
			before.Check(t)
		})
	}
	for name := range faults {
		if !seen[name] {
			t.Errorf("%s has no row in docs/errors.md", name)
		}
	}
}

func run(t *testing.T, wrap []string, program string, args []string) (stdout, stderr string, status int) {
	all := append(append([]string{}, wrap...), program)
	all = append(all, args...)
	return harness.Run(t, all[0], all[1:]...)
}

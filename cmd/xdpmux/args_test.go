package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
)

// TestNormalize is the table of command lines that xdp-loader understands, and of
// those that neither does.
func TestNormalize(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		// Options before, between and behind the arguments.
		{in: "load veth1 prog.o", want: "load -- veth1 prog.o"},
		{in: "load -s xdp veth1 prog.o", want: "load --section=xdp -- veth1 prog.o"},
		{in: "load veth1 -s xdp prog.o", want: "load --section=xdp -- veth1 prog.o"},
		{in: "load veth1 prog.o -s xdp -vv", want: "load --section=xdp --verbose --verbose -- veth1 prog.o"},
		{in: "unload veth1 -a", want: "unload --all -- veth1"},
		{in: "unload -i 5 veth1", want: "unload --id=5 -- veth1"},
		{in: "-v unload -a veth1", want: "unload --verbose --all -- veth1"},
		{in: "--netns lab status", want: "status --netns=lab"},
		{in: "--netns load status v", want: "status --netns=load -- v"},
		{in: "--netns=lab -vv status v", want: "status --netns=lab --verbose --verbose -- v"},
		{in: "--net lab status", want: "status --netns=lab"},
		{in: "-P 3 load v a.o", want: "load --prio=3 -- v a.o"},
		{in: "-P3 -vA XDP_TX load v a.o", want: "load --prio=3 --verbose --actions=XDP_TX -- v a.o"},
		{in: "-P clean load v a.o", want: "load --prio=clean -- v a.o"},
		{in: "--a unload v", want: "unload --all -- v"},
		{in: "--a TX load v a.o", want: "load --actions=TX -- v a.o"},
		{in: "--live 10s plan s.yaml", want: "plan --live=10s -- s.yaml"},
		{in: "--live trace v", want: "trace --live -- v"},
		{in: "-i 5 map dump v", want: "map dump --id=5 -- v"},
		{in: "--netns lab map -i 5 dump v", want: "map dump --netns=lab --id=5 -- v"},
		{in: "--netns lab", want: "--netns=lab"},
		{in: "--netns lab lode v", err: `unknown command "lode"`},
		{in: "-P 3 status", err: "status has no option -P"},
		{in: "--bogus status", err: "status has no option --bogus"},
		{in: "--bogus", err: "unknown option --bogus"},
		{in: "-x", err: "unknown option -x"},

		// Ways to write a value.
		{in: "load -mskb v a.o", want: "load --mode=skb -- v a.o"},
		{in: "load -m skb v a.o", want: "load --mode=skb -- v a.o"},
		{in: "load --mode skb v a.o", want: "load --mode=skb -- v a.o"},
		{in: "load --mode=skb v a.o", want: "load --mode=skb -- v a.o"},
		{in: "load -P10 v a.o", want: "load --prio=10 -- v a.o"},
		{in: "load --actions=XDP_PASS,XDP_DROP v a.o", want: "load --actions=XDP_PASS,XDP_DROP -- v a.o"},
		{in: "load -vvP 7 v a.o", want: "load --verbose --verbose --prio=7 -- v a.o"},
		{in: "load -P -5 v a.o", want: "load --prio=-5 -- v a.o"},
		{in: "unload -va v", want: "unload --verbose --all -- v"},

		// Prefixes of commands and of long options.
		{in: "stat", want: "status"},
		{in: "stat veth1", want: "status -- veth1"},
		{in: "l v a.o", want: "load -- v a.o"},
		{in: "un -a v", want: "unload --all -- v"},
		{in: "f v", want: "features -- v"},
		{in: "h", want: "help"},
		{in: "s", want: "status"},
		{in: "st", want: "status"},
		{in: "u -a v", want: "unload --all -- v"},
		{in: "cl", want: "clean"},
		{in: "ch", want: "check"},
		{in: "c", err: `command "c" is ambiguous`},
		{in: "r v a.o", err: `command "r" is ambiguous`},
		{in: "sta", want: "status"},
		{in: "load --prog f v a.o", want: "load --prog-name=f -- v a.o"},
		{in: "load --m skb v a.o", want: "load --mode=skb -- v a.o"},

		// A value that can be left out.
		{in: "load --adopt old.o v a.o", want: "load --adopt=old.o -- v a.o"},
		{in: "load --adopt dir/old@prio=3 v", want: "load --adopt=dir/old@prio=3 -- v"},
		{in: "load --adopt v a.o", want: "load --adopt= -- v a.o"},
		{in: "load --adopt=old v a.o", want: "load --adopt=old -- v a.o"},
		{in: "load v a.o --adopt", want: "load --adopt= -- v a.o"},
		{in: "load --adopt -m skb v a.o", want: "load --adopt= --mode=skb -- v a.o"},
		{in: "--adopt apply -f s", want: "apply --adopt --file=s"},
		{in: "load --verb v a.o", want: "load --verbose -- v a.o"},

		// What is no option.
		{in: "load -- -veth a.o", want: "load -- -veth a.o"},
		{in: "load v - a.o", want: "load -- v - a.o"},
		{in: "status -- -v", want: "status -- -v"},

		// Help and version.
		{in: "", want: ""},
		{in: "--version", want: "--version"},
		{in: "--help", want: "--help"},
		{in: "load --help", want: "load --help"},
		{in: "load -h", want: "load --help"},
		{in: "load --vers", want: "load --version"},
		{in: "help load", want: "help -- load"},
		{in: "help map dump", want: "help -- map dump"},

		// Commands of a command.
		{in: "map list v", want: "map list -- v"},
		{in: "m d v rxcnt", err: `command "d" is ambiguous`},
		{in: "m du v rxcnt --watch", want: "map dump --watch -- v rxcnt"},
		{in: "map --id 5 dump v", want: "map dump --id=5 -- v"},
		{in: "map -v dump -i5 v", want: "map dump --verbose --id=5 -- v"},
		{in: "map", want: "map"},
		{in: "map --help", want: "map --help"},
		{in: "map dump -h", want: "map dump --help"},
		{in: "map shred v", err: `unknown command "map shred"`},
		{in: "map list --watch v", err: "map list has no option --watch"},

		// What can't be understood.
		{in: "lode v a.o", err: `unknown command "lode"`},
		{in: "load --bogus v a.o", err: "load has no option --bogus"},
		{in: "load -x v a.o", err: "load has no option -x"},
		{in: "load v a.o -vx", err: "load has no option -x"},
		{in: "load v a.o -m", err: "option -m needs a value"},
		{in: "load v a.o --mode", err: "option --mode needs a value"},
		{in: "load --ver v a.o", err: "option --ver is ambiguous"},
		{in: "load --pr 5 v a.o", err: "option --pr is ambiguous"},
		{in: "unload --all=yes v", err: "option --all=yes takes no value"},
		{in: "status --prio 5", err: "status has no option --prio"},
	} {
		got, err := cmdline.Normalize(newApp(&output.Printer{}), strings.Fields(c.in))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: error %v, want %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.in, diff)
		}
	}
}

// TestRunWithoutKernel holds the exit status and both streams of calls that end
// before they reach the kernel.
func TestRunWithoutKernel(t *testing.T) {
	for _, c := range []struct {
		args           string
		status         int
		stdout, stderr string // of which the beginning
	}{
		{args: "", status: 1, stderr: "xdpmux: no command given\n  xdpmux help lists the commands\n"},
		{args: "--netns lab", status: 1, stderr: "xdpmux: no network namespace \"lab\""},
		{args: "--bogus", status: 1, stderr: "xdpmux: unknown option --bogus\n  xdpmux help lists the commands, and xdpmux help COMMAND its options\n"},
		{args: "load --bogus", status: 1, stderr: "xdpmux: load has no option --bogus\n  xdpmux load --help lists the options\n"},
		{args: "map dump --bogus", status: 1, stderr: "xdpmux: map dump has no option --bogus\n  xdpmux map dump --help lists the options\n"},
		{args: "load v a.o -P", status: 1, stderr: "xdpmux: option -P needs a value\n  xdpmux load --help lists the options\n"},
		{args: "map dump v m --json=yes", status: 1, stderr: "xdpmux: option --json=yes takes no value\n  xdpmux map dump --help lists the options\n"},
		{args: "c", status: 1, stderr: "xdpmux: command \"c\" is ambiguous\n  it could be: clean, convert, confirm, check, completion\n"},
		{args: "--version", stdout: "xdpmux version "},
		{args: "status --version", stdout: "xdpmux version "},
		{args: "help", stdout: "xdpmux - "},
		{args: "--help", stdout: "xdpmux - "},
		{args: "help load", stdout: "xdpmux load - "},
		{args: "load --help", stdout: "xdpmux load - "},
		{args: "map --help", stdout: "xdpmux map - "},
		{args: "help m du", stdout: "xdpmux map dump - "},
		{args: "map dump --help", stdout: "xdpmux map dump - "},
		{args: "help lode", status: 1, stderr: "xdpmux: unknown command \"lode\"\n"},
		{args: "help map shred", status: 1, stderr: "xdpmux: unknown command \"map shred\"\n  xdpmux map --help lists its commands\n"},
		{args: "load", status: 1, stderr: "xdpmux: load needs an interface and at least one file\n"},
		{args: "load veth1", status: 1, stderr: "xdpmux: load needs an interface and at least one file\n"},
		{args: "load -m fast v a.o", status: 1, stderr: "xdpmux: unknown mode \"fast\"\n  valid modes: native, skb, hw, unspecified\n"},
		{args: "load -A XDP_PASS,Drop v a.o", status: 1, stderr: "xdpmux: unknown action \"Drop\"\n  valid actions: XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT\n"},
		{args: "load -P high v a.o", status: 1, stderr: "xdpmux: priority \"high\" is not a number from 0 to 4294967295\n"},
		{args: "load -P 4294967296 v a.o", status: 1, stderr: "xdpmux: priority \"4294967296\" is not a number from 0 to 4294967295\n"},
		{args: "load -P -1 v a.o", status: 1, stderr: "xdpmux: priority \"-1\" is not a number from 0 to 4294967295\n"},
		{args: "load -m hw v a.o b.o", status: 1, stderr: "xdpmux: several programs in hw mode, and a device takes only one\n"},
		{args: "load v 1 2 3 4 5 6 7 8 9 10 11", status: 1, stderr: "xdpmux: 11 programs in one call, and a chain takes 10\n"},
		{args: "load nosuchif a.o", status: 1, stderr: "xdpmux: no interface \"nosuchif\" in this network namespace\n  ip link lists the interfaces\n"},
		{args: "unload v", status: 1, stderr: "xdpmux: unload needs a program's id or name, or --all\n"},
		{args: "unload -a", status: 1, stderr: "xdpmux: unload needs an interface\n"},
		{args: "unload v -a -i 3", status: 1, stderr: "xdpmux: --all, --id and --name exclude each other\n"},
		{args: "unload v -i 3 --name x", status: 1, stderr: "xdpmux: --all, --id and --name exclude each other\n"},
		{args: "unload -i x v", status: 1, stderr: "xdpmux: \"x\" is not a program's id\n"},
		{args: "status nosuchif", status: 1, stderr: "xdpmux: no interface \"nosuchif\""},
		{args: "status nosuchif,nosuch2", status: 1, stderr: "xdpmux: no interface \"nosuchif\" in this network namespace\n  ip link lists the interfaces\nxdpmux: no interface \"nosuch2\""},
		{args: "status -i 5", status: 1, stderr: "xdpmux: --interval goes with --watch\n  xdpmux status --watch --interval 5\n"},
		{args: "status --watch -i 0", status: 1, stderr: "xdpmux: interval \"0\" is not a time of 10ms or more\n"},
		{args: "clean a b", status: 1, stderr: "xdpmux: clean takes one interface\n"},
		{args: "convert", status: 1, stderr: "xdpmux: convert needs a file\n  xdpmux convert -f <file>...\n"},
		{args: "convert --as list -f x.yaml", status: 1, stderr: "xdpmux: --as list is neither chain nor state\n"},
		{args: "convert -f absent.yaml", status: 1, stderr: "xdpmux: can't read the application in absent.yaml: no such file or directory\n"},
		{args: "convert --as state -f testdata/app.yaml", stdout: "interfaces:\n- name: eth0\n", stderr: "xdpmux: warning: app.yaml: ClusterBpfApplication edge: spec.programs[1] is left out"},
		{args: "convert -f testdata/app.yaml", stdout: "apiVersion: xdpmux.io/v1alpha1\nkind: XDPChain\n", stderr: "xdpmux: warning: app.yaml: "},
		{args: "convert --json -f testdata/configmap.yaml", status: 1, stderr: "xdpmux: warning: configmap.yaml: ConfigMap settings: only ClusterBpfApplication and BpfApplication of bpfman.io are converted\nxdpmux: no XDP part of an application is in testdata/configmap.yaml\n"},
		{args: "features", status: 1, stderr: "xdpmux: features needs one interface\n"},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), strings.Fields(c.args), &stdout, &stderr); status != c.status {
			t.Errorf("%q: exit status %d, want %d", c.args, status, c.status)
		}
		for _, s := range []struct{ name, got, want string }{{"stdout", stdout.String(), c.stdout}, {"stderr", stderr.String(), c.stderr}} {
			if !strings.HasPrefix(s.got, s.want) || s.want == "" && s.got != "" {
				t.Errorf("%q: %s is\n%s\nwant\n%s", c.args, s.name, s.got, s.want)
			}
		}
	}
}

// An option has a value in every command that has it, or in none: so it can stand
// before the command. The value of --live is a time, and no command is called so.
func TestOptionsMeanTheSame(t *testing.T) {
	kinds := map[string]map[bool][]string{}
	for _, command := range commandsOf(newApp(&output.Printer{}).Commands) {
		for _, flag := range command.Flags {
			if _, optional := flag.(*cmdline.OptionalFlag); optional {
				continue // it goes with either
			}
			for _, name := range flag.Names() {
				if name == "live" {
					continue
				}
				if kinds[name] == nil {
					kinds[name] = map[bool][]string{}
				}
				takes := flag.(cli.DocGenerationFlag).TakesValue()
				kinds[name][takes] = append(kinds[name][takes], help.FullName(command))
			}
		}
	}
	for name, kind := range kinds {
		if len(kind) > 1 {
			t.Errorf("option %s has a value in %v, and none in %v", name, kind[true], kind[false])
		}
	}
}

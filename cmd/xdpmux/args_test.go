package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		{in: "load --prog f v a.o", want: "load --prog-name=f -- v a.o"},
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
		{in: "help load", want: "help load"},

		// Commands of a command.
		{in: "map list v", want: "map list -- v"},
		{in: "m d v rxcnt --watch", want: "map dump --watch -- v rxcnt"},
		{in: "map --id 5 dump v", err: `unknown command "map 5"`},
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
		got, err := normalize(newApp(&output{}), strings.Fields(c.in))
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
		{args: "--version", stdout: "xdpmux version "},
		{args: "status --version", stdout: "xdpmux version "},
		{args: "help", stdout: "NAME:\n   xdpmux - "},
		{args: "--help", stdout: "NAME:\n   xdpmux - "},
		{args: "help load", stdout: "NAME:\n   xdpmux load - "},
		{args: "load --help", stdout: "NAME:\n   xdpmux load - "},
		{args: "load", status: 1, stderr: "xdpmux: load needs an interface and at least one file\n"},
		{args: "load veth1", status: 1, stderr: "xdpmux: load needs an interface and at least one file\n"},
		{args: "load -m fast v a.o", status: 1, stderr: "xdpmux: unknown mode \"fast\"\n  valid modes: native, skb, hw, unspecified\n"},
		{args: "load -A XDP_PASS,DROP v a.o", status: 1, stderr: "xdpmux: unknown action \"DROP\"\n  valid actions: XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT\n"},
		{args: "load -P high v a.o", status: 1, stderr: "xdpmux: priority \"high\" is not a number from 0 to 4294967295\n"},
		{args: "load -P 4294967296 v a.o", status: 1, stderr: "xdpmux: priority \"4294967296\" is not a number from 0 to 4294967295\n"},
		{args: "load -P -1 v a.o", status: 1, stderr: "xdpmux: priority \"-1\" is not a number from 0 to 4294967295\n"},
		{args: "load -m hw v a.o b.o", status: 1, stderr: "xdpmux: several programs in hw mode, and a device takes only one\n"},
		{args: "load v 1 2 3 4 5 6 7 8 9 10 11", status: 1, stderr: "xdpmux: 11 programs in one call, and a chain takes 10\n"},
		{args: "load nosuchif a.o", status: 1, stderr: "xdpmux: no interface \"nosuchif\" in this network namespace\n  ip link lists the interfaces\n"},
		{args: "unload v", status: 1, stderr: "xdpmux: unload needs a program's id, or --all\n"},
		{args: "unload -a", status: 1, stderr: "xdpmux: unload needs one interface\n"},
		{args: "unload -i x v", status: 1, stderr: "xdpmux: \"x\" is not a program's id\n"},
		{args: "status nosuchif", status: 1, stderr: "xdpmux: no interface \"nosuchif\""},
		{args: "clean a b", status: 1, stderr: "xdpmux: clean takes one interface\n"},
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

package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/kernel"
)

// What real bash completes.
func TestCompletion(t *testing.T) {
	kernel.NoLeak(t)
	v := kernel.NewVeth(t)
	chain(t, v, pass)
	id := fmt.Sprint(status(t, v.Name, 0).Programs[0].ID)
	for _, c := range []struct {
		words []string // without xdpmux, the last is to be completed
		want  []string // among the candidates
		not   string   // of which this isn't one
	}{
		{[]string{""}, []string{"load", "unload", "status", "check", "help"}, "man"},
		{[]string{"sta"}, []string{"status"}, "load"},
		{[]string{"load", ""}, []string{"lo", v.Name, v.Peer}, ""},
		{[]string{"load", "lo,xm"}, []string{"lo," + v.Name}, "lo,lo"},
		{[]string{"load", "-m", "s"}, []string{"skb"}, "native"},
		{[]string{"load", "--mode", "=", "n"}, []string{"native"}, "skb"},
		{[]string{"load", "--act"}, []string{"--actions"}, "--mode"},
		{[]string{"load", "lo", "-A", "XDP_PASS,XDP_T"}, []string{"XDP_PASS,XDP_TX"}, "XDP_TX"},
		{[]string{"load", "lo", object("pinned"), "-s", ""}, []string{"xdp/good", "xdp/refused"}, ""},
		{[]string{"load", "lo", object("pinned"), "-n", "go"}, []string{"good"}, "refused"},
		{[]string{"unload", v.Name, "-i", ""}, []string{id}, ""},
		{[]string{"status", "lo", "xm"}, []string{v.Name}, "lo"},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}, ""},
		{[]string{"load", "lo", "../../build/bpf/xdp_d"}, nil, ""},
	} {
		script := `PATH=$(dirname "$1"):$PATH; eval "$("$1" completion bash)"; shift; COMP_WORDS=(xdpmux "$@"); COMP_CWORD=$#; _xdpmux; printf '%s\n' "${COMPREPLY[@]}"`
		stdout := kernel.MustRun(t, "bash", append([]string{"-c", script, "bash", ours()}, c.words...)...)
		got := strings.Fields(stdout)
		for _, want := range c.want {
			if !slices.Contains(got, want) {
				t.Errorf("%q: no %q in %q", c.words, want, got)
			}
		}
		if slices.Contains(got, c.not) || c.want == nil && len(got) > 0 {
			t.Errorf("%q: %q", c.words, got)
		}
	}
}

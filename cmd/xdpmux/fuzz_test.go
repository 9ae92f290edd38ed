package main

import (
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// FuzzFileSpec reads object files with settings. What is read has the file, and nothing
// of the whole call that the settings don't change.
func FuzzFileSpec(f *testing.F) {
	for _, arg := range []string{"filter.o", "filter.o@prio=10,actions=XDP_PASS+XDP_DROP", "a@b.o@name=x,section=xdp,pin=/sys/fs/bpf/a",
		"@prio=1", "x@prio=", "x@prio=4294967296", "x@actions=pass+31", "x@", "x@,", "x@prio=0x10,prio=2"} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		call := xdp.Program{Name: "whole", Priority: xdp.Prio(7)}
		p, err := parseFileSpec(arg, call)
		if err != nil {
			return
		}
		if !strings.HasPrefix(arg, p.File) || len(p.File) < len(arg) && arg[len(p.File)] != '@' {
			t.Errorf("%q is read as file %q", arg, p.File)
		}
		set := arg[len(p.File):]
		if !strings.Contains(set, "prio=") && *p.Priority != 7 || !strings.Contains(set, "name=") && !strings.Contains(set, "section=") && p.Name != "whole" {
			t.Errorf("%q is read as %+v", arg, p)
		}
		if p.Name != "" && p.Section != "" {
			t.Errorf("%q names a program by name %q and section %q", arg, p.Name, p.Section)
		}
	})
}

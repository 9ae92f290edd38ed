package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func TestParseFileSpec(t *testing.T) {
	there := filepath.Join(t.TempDir(), "a@prio=3")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	common := xdp.Program{Priority: xdp.Prio(7), Section: "xdp", PinPath: "/p"}
	with := func(change func(*xdp.Program)) xdp.Program {
		p := common
		p.File = "a.o"
		change(&p)
		return p
	}
	pinned := "oci://localhost:5000/x:v1@sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		arg  string
		want xdp.Program
		err  string
	}{
		{"a.o", with(func(*xdp.Program) {}), ""},
		{"a.o@prio=10", with(func(p *xdp.Program) { p.Priority = xdp.Prio(10) }), ""},
		{"a.o@prio=0", with(func(p *xdp.Program) { p.Priority = xdp.Prio(0) }), ""},
		{"a.o@name=f", with(func(p *xdp.Program) { p.Name, p.Section = "f", "" }), ""},
		{"a.o@section=s,pin=/q", with(func(p *xdp.Program) { p.Section, p.PinPath = "s", "/q" }), ""},
		{"a.o@actions=XDP_PASS+XDP_TX", with(func(p *xdp.Program) { p.Actions = xdp.On(xdp.Pass, xdp.TX) }), ""},
		{"a.o@actions=pass+TX", with(func(p *xdp.Program) { p.Actions = xdp.On(xdp.Pass, xdp.TX) }), ""},
		{"x@y/a.o@prio=1", with(func(p *xdp.Program) { p.File, p.Priority = "x@y/a.o", xdp.Prio(1) }), ""},
		{"oci://localhost:5000/x:v1", with(func(p *xdp.Program) { p.File = "oci://localhost:5000/x:v1" }), ""},
		{"oci://localhost:5000/x:v1@prio=1", with(func(p *xdp.Program) { p.File, p.Priority = "oci://localhost:5000/x:v1", xdp.Prio(1) }), ""},
		{pinned, with(func(p *xdp.Program) { p.File = pinned }), ""},
		{pinned + "@prio=1", with(func(p *xdp.Program) { p.File, p.Priority = pinned, xdp.Prio(1) }), ""},
		{there, with(func(p *xdp.Program) { p.File = there }), ""},
		{"a.o@", common, "no setting"},
		{"a.o@prio", common, "no setting"},
		{"a.o@prio=", common, "no setting"},
		{"a.o@prio=x", common, "not a number"},
		{"a.o@actions=XDP_PASS+Pass", common, "unknown action"},
		{"a.o@colour=red", common, "unknown setting"},
	} {
		got, err := parseFileSpec(c.arg, common)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", c.arg, err, c.err)
		case c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%s: %+v, %v", c.arg, got, err)
		}
	}
}

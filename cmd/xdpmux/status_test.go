package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestRenderStatus holds the table to what xdp-loader 1.3.1 prints, trailing
// spaces and all; the integration tests compare both tools on a real kernel.
func TestRenderStatus(t *testing.T) {
	native := xdp.ModeNative
	loaded := func(id uint32, name, tag string) *xdp.Loaded {
		return &xdp.Loaded{ID: id, Name: name, Tag: tag}
	}
	chains := []*dispatcher.Chain{
		{Interface: xdp.Interface{Name: "lo", Index: 1}},
		{
			Interface: xdp.Interface{Name: "eth0", Index: 2}, Mode: &native,
			Dispatcher: loaded(50, "xdp_dispatcher", "d51e469e988d81da"),
			Programs: []dispatcher.Component{
				{Loaded: *loaded(55, "xdp_drop", "57cd311f2e27366b"), Priority: 50, Actions: *xdp.On(xdp.Pass)},
				{Loaded: *loaded(12345, "a_name_longer_than_its_column", "57cd311f2e27366b"), Priority: 1234567, Actions: *xdp.On(xdp.Pass, xdp.Drop)},
			},
		},
		{
			Interface: xdp.Interface{Name: "eth1", Index: 3}, Mode: &native,
			Legacy:   loaded(9, "xdp_pass", "3b185187f1855c4c"),
			Hardware: loaded(10, "xdp_hw", "3b185187f1855c4d"),
		},
	}
	var got strings.Builder
	if err := renderStatus(&got, chains); err != nil {
		t.Fatal(err)
	}
	want := `CURRENT XDP PROGRAM STATUS:

Interface        Prio  Program name      Mode     ID   Tag               Chain actions
--------------------------------------------------------------------------------------
lo                     <No XDP program loaded!>
eth0                   xdp_dispatcher    native   50   d51e469e988d81da 
 =>              50     xdp_drop                  55   57cd311f2e27366b  XDP_PASS
 =>              1234567  a_name_longer_than_its_column          12345 57cd311f2e27366b  XDP_DROP,XDP_PASS
eth1                   xdp_pass          native   9    3b185187f1855c4c 
eth1                   xdp_hw            hw       10   3b185187f1855c4d 

`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRenderUnread tells a program that is gone from one that can't be read.
func TestRenderUnread(t *testing.T) {
	native := xdp.ModeNative
	chain := &dispatcher.Chain{Mode: &native, Dispatcher: &xdp.Loaded{ID: 50, Name: "xdp_dispatcher"}, Programs: make([]dispatcher.Component, 1)}
	for want, err := range map[string]error{"<gone>": nil, "<unknown>": errors.New("can't read the chain")} {
		var got strings.Builder
		chain.Err = err
		if err := renderStatus(&got, []*dispatcher.Chain{chain}); err != nil || !strings.Contains(got.String(), want) {
			t.Errorf("%v: no %s in %s", err, want, got.String())
		}
	}
}

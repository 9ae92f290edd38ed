package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/test/harness"
)

// What the shells are given of chains that run; that they make something of it is
// tested with the shells, in cmd/xdpmux.
func TestCompletion(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	chain(t, v, pass, sample("xdp_count"))
	programs := status(t, v.Name, 0).Programs
	maps := decode[[]maps.Used](t, harness.MustRun(t, ours(), "map", "list", "--json", v.Name))
	var ids, names []string
	for _, p := range programs {
		ids, names = append(ids, fmt.Sprint(p.ID)), append(names, p.Name)
	}
	slices.Sort(ids)
	slices.Sort(names)
	other := harness.NewNetns(t)
	var away *harness.Veth
	other.Do(t, func() { away = harness.NewVeth(t) })
	for _, c := range []struct {
		words []string // without xdpmux, the last is to be completed
		want  []string
	}{
		{[]string{"status", v.Name}, []string{v.Name}},
		{[]string{"status", "--netns", other.Path(), ""}, []string{"lo", away.Name, away.Peer}},
		{[]string{"unload", v.Name, "-i", ""}, ids},
		{[]string{"unload", "lo," + v.Name, "-i", ""}, ids},
		{[]string{"unload", away.Name, "-i", ""}, nil},
		{[]string{"replace", v.Name, pass, "--id", ""}, ids},
		{[]string{"set", v.Name, "--name", ""}, names},
		{[]string{"trace", v.Name, "--live", "--name", names[0][:5]}, names[:1]},
		{[]string{"map", "dump", v.Name, ""}, []string{maps[0].Name}},
		{[]string{"map", "dump", v.Name, "-i", ""}, []string{fmt.Sprint(maps[0].ID)}},
	} {
		got := strings.Fields(harness.MustRun(t, ours(), append([]string{"__complete"}, c.words...)...))
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
}

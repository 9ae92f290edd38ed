package desired

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// want makes a wanted program from "name function content priority".
func want(s string) *wanted {
	var name, function, content string
	var priority uint32
	mustScan(s, &name, &function, &content, &priority)
	return &wanted{
		entry:    Program{Name: name, Object: "/" + content + ".o"},
		place:    Place{Priority: priority, Actions: *dispatcher.On(dispatcher.Pass)},
		function: function, digest: function + content, tag: "tag-" + content,
	}
}

// run makes a running program from "id name function content priority"; the name
// "-" stands for a program without record.
func run(s string) *running {
	var id, priority uint32
	var name, function, content string
	mustScan(s, &id, &name, &function, &content, &priority)
	r := &running{Component: dispatcher.Component{
		Loaded:   dispatcher.Loaded{ID: id, Name: function, Tag: "tag-" + content},
		Priority: priority, Actions: *dispatcher.On(dispatcher.Pass)}}
	if name != "-" {
		r.record = &record{ID: id, Tag: r.Tag, Digest: function + content, Program: Program{Name: name, Object: "/" + content + ".o"}}
	}
	return r
}

func mustScan(s string, into ...any) {
	if n, err := fmt.Sscan(s, into...); n != len(into) || err != nil {
		panic(s)
	}
}

func all[T any](make func(string) T, list string) []T {
	var made []T
	for _, s := range strings.Split(list, ";") {
		if s = strings.TrimSpace(s); s != "" {
			made = append(made, make(s))
		}
	}
	return made
}

func stepText(s Step) string {
	text := fmt.Sprintf("%s %s", s.Action, s.Name)
	if s.ID != 0 {
		text += fmt.Sprintf(" %d", s.ID)
	}
	if s.Action == Move {
		text += fmt.Sprintf(" %d->%d", s.From.Priority, s.To.Priority)
	}
	return text
}

func TestDiff(t *testing.T) {
	cases := []struct {
		name  string
		want  string
		runs  string
		prune bool
		steps string
		adopt string // ids
	}{
		{name: "nothing at all"},
		{name: "all new", want: "a f x 5; b g y 9", steps: "add a; add b"},
		{name: "as it should be", want: "a f x 5; b g y 9", runs: "1 a f x 5; 2 b g y 9"},
		{name: "moved", want: "a f x 7", runs: "1 a f x 5", steps: "move a 1 5->7"},
		{name: "content", want: "a f z 5", runs: "1 a f x 5", steps: "replace a 1"},
		{name: "content and priority are one step", want: "a f z 7", runs: "1 a f x 5", steps: "replace a 1"},
		{name: "another function under the name", want: "a g x 5", runs: "1 a f x 5", steps: "replace a 1"},
		{name: "out of the file", want: "a f x 5", runs: "1 a f x 5; 2 b g y 9", steps: "remove b 2"},
		{name: "empty file", runs: "1 a f x 5", steps: "remove a 1"},
		{name: "another tool's stays", want: "a f x 5", runs: "1 a f x 5; 2 - g y 9"},
		{name: "another tool's goes", want: "a f x 5", runs: "1 a f x 5; 2 - g y 9", prune: true, steps: "remove g 2"},
		{name: "renamed", want: "b f x 5", runs: "1 a f x 5", adopt: "1"},
		{name: "renamed and moved", want: "b f x 6", runs: "1 a f x 5", steps: "move b 1 5->6", adopt: "1"},
		{name: "names swapped", want: "a g y 5; b f x 5", runs: "1 a f x 5; 2 b g y 5", steps: "replace a 1; replace b 2"},
		{name: "recorded twice", want: "a f x 5", runs: "1 a f x 5; 2 a f x 5", steps: "remove a 2"},
		{name: "no record, same tag", want: "a f x 5", runs: "1 - f x 5", adopt: "1"},
		{name: "no record, same tag, elsewhere", want: "a f x 5", runs: "1 - f x 8", steps: "move a 1 8->5", adopt: "1"},
		{name: "no record, other tag", want: "a f x 5", runs: "1 - f y 5", steps: "replace a 1"},
		{name: "no record, other function", want: "a f x 5", runs: "1 - g x 5", steps: "add a"},
		{name: "no records, the tag decides", want: "a f x 5", runs: "1 - f y 5; 2 - f x 9", steps: "move a 2 9->5", adopt: "2"},
		{name: "no records, the place decides", want: "a f x 5; b f x 9", runs: "1 - f x 9; 2 - f x 5", adopt: "2 1"},
		{name: "no records, nobody knows", want: "a f x 5", runs: "1 - f y 5; 2 - f z 9", steps: "add a"},
		{name: "two want one", want: "a f x 5; b f y 5", runs: "1 - f z 5", steps: "add a; add b"},
		{name: "the record wins over the tag", want: "a f x 5", runs: "1 - f x 5; 2 a f x 5"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			steps, adopt := diff(all(want, c.want), all(run, c.runs), c.prune)
			var got, ids []string
			for _, s := range steps {
				got = append(got, stepText(s))
			}
			for _, a := range adopt {
				ids = append(ids, fmt.Sprint(a.running.ID))
			}
			if text := strings.Join(got, "; "); text != c.steps {
				t.Errorf("steps: got %q, want %q", text, c.steps)
			}
			if text := strings.Join(ids, " "); text != c.adopt {
				t.Errorf("adopted: got %q, want %q", text, c.adopt)
			}
		})
	}
}

func TestTransactionSetsOnce(t *testing.T) {
	w := want("a f x 7")
	w.place.Actions = *dispatcher.On(dispatcher.Drop)
	steps, _ := diff([]*wanted{w}, all(run, "4 a f x 5"), false)
	if len(steps) != 2 || steps[0].Action != Move || steps[1].Action != Change {
		t.Fatalf("steps: %+v", steps)
	}
	tx := transaction(dispatcher.ModeSKB, steps)
	if len(tx.Set) != 1 || tx.Set[0].ID != 4 || *tx.Set[0].Priority != 7 || *tx.Set[0].Actions != w.place.Actions {
		t.Errorf("transaction: %+v", tx)
	}
	if tx.Mode != dispatcher.ModeSKB || len(tx.Add)+len(tx.Remove)+len(tx.Replace) != 0 {
		t.Errorf("transaction: %+v", tx)
	}
}

// commit does to a list of running programs what the transaction is documented to
// do to a chain, and records as Apply does.
func commit(runs []*running, steps []Step, adopt []adoption) []*running {
	tx := transaction(dispatcher.ModeNative, steps)
	nextID := uint32(1000)
	load := func(w *wanted, p dispatcher.Program) *running {
		nextID++
		return &running{
			Component: dispatcher.Component{
				Loaded:   dispatcher.Loaded{ID: nextID, Name: p.Name, Tag: w.tag},
				Priority: *p.Priority, Actions: *p.Actions, Frags: *p.Frags},
			record: &record{ID: nextID, Tag: w.tag, Program: w.entry, Digest: w.digest},
		}
	}
	var added, replaced []*wanted
	for _, s := range steps {
		switch s.Action {
		case Add:
			added = append(added, s.want)
		case Replace:
			replaced = append(replaced, s.want)
		}
	}
	var after []*running
	for _, r := range runs {
		if slices.Contains(tx.Remove, r.ID) {
			continue
		}
		now := *r
		for _, set := range tx.Set {
			if set.ID == r.ID {
				now.Priority, now.Actions, now.Frags = *set.Priority, *set.Actions, *set.Frags
			}
		}
		for _, a := range adopt {
			if a.running == r {
				now.record = &record{ID: r.ID, Tag: r.Tag, Program: a.want.entry, Digest: a.want.digest}
			}
		}
		next := &now
		for i, replacement := range tx.Replace {
			if replacement.ID == r.ID {
				next = load(replaced[i], replacement.Program)
			}
		}
		after = append(after, next)
	}
	for i, p := range tx.Add {
		after = append(after, load(added[i], p))
	}
	return after
}

func genPlace(t *rapid.T) Place {
	return Place{
		Priority: rapid.Uint32Range(0, 3).Draw(t, "priority"),
		Actions:  dispatcher.Actions(rapid.Uint32Range(0, 3).Draw(t, "actions")),
		Frags:    rapid.Bool().Draw(t, "frags"),
	}
}

func genWanted(t *rapid.T) []*wanted {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4, rapid.ID).Draw(t, "names")
	var list []*wanted
	for _, name := range names {
		content := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "content")
		w := want(fmt.Sprintf("%s %s %s 0", name, rapid.SampledFrom([]string{"f", "g"}).Draw(t, "function"), content))
		w.place = genPlace(t)
		list = append(list, w)
	}
	return list
}

func genRunning(t *rapid.T) []*running {
	n := rapid.IntRange(0, 6).Draw(t, "running")
	var list []*running
	for i := range n {
		r := run(fmt.Sprintf("%d %s %s %s 0", i+1,
			rapid.SampledFrom([]string{"-", "-", "a", "b", "c", "e"}).Draw(t, "record"),
			rapid.SampledFrom([]string{"f", "g", "h"}).Draw(t, "function"),
			rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "content")))
		p := genPlace(t)
		r.Priority, r.Actions, r.Frags = p.Priority, p.Actions, p.Frags
		list = append(list, r)
	}
	return list
}

// TestDiffProperties: applying a plan gives the wanted state, a second plan is
// empty, nobody is named twice, and strangers stay unless they are pruned.
func TestDiffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, before, prune := genWanted(t), genRunning(t), rapid.Bool().Draw(t, "prune")
		steps, adopt := diff(want, before, prune)
		checkOnce(t, transaction(dispatcher.ModeNative, steps), before)

		after := commit(before, steps, adopt)
		for _, w := range want {
			i := slices.IndexFunc(after, func(r *running) bool { return r.record != nil && r.record.Program.Name == w.entry.Name })
			if i < 0 {
				t.Fatalf("%s doesn't run", w.entry.Name)
			}
			if r := after[i]; r.place() != w.place || r.record.Digest != w.digest || r.Name != w.function || r.Tag != w.tag {
				t.Fatalf("%s runs as %+v", w.entry.Name, r)
			}
		}
		recorded := 0
		for _, r := range after {
			if r.record != nil {
				recorded++
			} else if prune {
				t.Fatalf("%+v was not pruned", r)
			}
		}
		if recorded != len(want) {
			t.Fatalf("%d programs are wanted, %d are recorded", len(want), recorded)
		}
		for _, r := range before {
			functionWanted := slices.ContainsFunc(want, func(w *wanted) bool { return w.function == r.Name })
			if r.record == nil && !prune && !functionWanted && !slices.ContainsFunc(after, func(a *running) bool { return a.ID == r.ID && a.place() == r.place() }) {
				t.Fatalf("another tool's %+v has changed", r)
			}
		}
		if again, adopt := diff(want, after, prune); len(again) != 0 || len(adopt) != 0 {
			t.Fatalf("a second plan: %+v, %+v", again, adopt)
		}
	})
}

// checkOnce checks that a transaction names each running program at most once, and
// no other.
func checkOnce(t *rapid.T, tx dispatcher.Transaction, runs []*running) {
	ids := slices.Clone(tx.Remove)
	for _, r := range tx.Replace {
		ids = append(ids, r.ID)
	}
	for _, s := range tx.Set {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Fatalf("named twice: %v", ids)
	}
	for _, id := range ids {
		if !slices.ContainsFunc(runs, func(r *running) bool { return r.ID == id }) {
			t.Fatalf("%d doesn't run", id)
		}
	}
}

// TestDiffIsMinimal: what only moves is never loaded anew.
func TestDiffIsMinimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genWanted(t)
		steps, adopt := diff(want, nil, false)
		runs := commit(nil, steps, adopt)
		for _, w := range want {
			w.place = genPlace(t)
		}
		steps, _ = diff(want, runs, true)
		for _, s := range steps {
			if s.Action != Move && s.Action != Change {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func TestPossible(t *testing.T) {
	native, skb := dispatcher.ModeNative, dispatcher.ModeSKB
	eth0 := dispatcher.Interface{Name: "eth0", Index: 2}
	loaded := &dispatcher.Loaded{ID: 7, Name: "xdp_dispatcher"}
	some := []*wanted{want("a f x 5")}
	adds := func(n int) []Step { return slices.Repeat([]Step{{Action: Add}}, n) }
	cases := []struct {
		name  string
		chain dispatcher.Chain
		mode  dispatcher.Mode
		want  []*wanted
		steps []Step
		err   string
	}{
		{"empty", dispatcher.Chain{}, native, some, adds(10), ""},
		{"eleven", dispatcher.Chain{}, native, some, adds(11), "eth0 would have 11 programs, and a chain takes 10"},
		{"ten and one", dispatcher.Chain{Mode: &native, Dispatcher: loaded, Programs: make([]dispatcher.Component, 10)}, native, some, adds(1),
			"eth0 would have 11 programs, and a chain takes 10"},
		{"one comes, one goes", dispatcher.Chain{Mode: &native, Dispatcher: loaded, Programs: make([]dispatcher.Component, 10)}, native, some,
			append(adds(1), Step{Action: Remove}), ""},
		{"mode", dispatcher.Chain{Mode: &skb, Dispatcher: loaded}, native, some, nil, "the chain on eth0 is attached in skb mode, and the file wants native"},
		{"same mode", dispatcher.Chain{Mode: &skb, Dispatcher: loaded}, skb, some, nil, ""},
		{"any mode", dispatcher.Chain{Mode: &skb, Dispatcher: loaded}, dispatcher.ModeUnspecified, some, nil, ""},
		{"mode, but nothing is wanted", dispatcher.Chain{Mode: &skb, Dispatcher: loaded}, native, nil, nil, ""},
		{"legacy", dispatcher.Chain{Mode: &native, Legacy: loaded}, native, some, adds(1),
			"eth0 has program 7 (xdp_dispatcher), attached without a dispatcher, and nothing can join that"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.chain.Interface = eth0
			err := possible(&c.chain, c.mode, c.want, c.steps)
			if text := errorText(err); text != c.err {
				t.Errorf("got %q, want %q", text, c.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

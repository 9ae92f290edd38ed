package desired

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// want makes a wanted program from "name function content priority".
func want(s string) *wanted {
	var name, function, content string
	var priority uint32
	mustScan(s, &name, &function, &content, &priority)
	return &wanted{
		entry:    Program{Name: name, Object: "/" + content + ".o"},
		place:    Place{Priority: priority, Actions: *xdp.On(xdp.Pass)},
		function: function, digest: function + content, tag: "tag-" + content,
	}
}

// run makes a running program from "id name function content priority". The name "-"
// stands for a program without record, "+name" for one that no state wants here.
func run(s string) *running {
	var id, priority uint32
	var name, function, content string
	mustScan(s, &id, &name, &function, &content, &priority)
	r := &running{ifindex: 7, Component: dispatcher.Component{
		Loaded:   xdp.Loaded{ID: id, Name: function, Tag: "tag-" + content},
		Priority: priority, Actions: *xdp.On(xdp.Pass)}}
	if name != "-" {
		byHand := strings.HasPrefix(name, "+")
		r.record = &record{ID: id, Tag: r.Tag, Digest: function + content, Applied: []int{7},
			Program: Program{Name: strings.TrimPrefix(name, "+"), Object: "/" + content + ".o"}}
		if byHand {
			r.record.Applied = []int{8} // on another interface
		}
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
		name   string
		want   string
		runs   string
		prune  bool
		adopt  bool
		unlike string // id of a program that has the tag and holds something else
		steps  string
		same   string // ids of the programs whose record is corrected
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
		{name: "renamed", want: "b f x 5", runs: "1 a f x 5", same: "1"},
		{name: "renamed and moved", want: "b f x 6", runs: "1 a f x 5", steps: "move b 1 5->6", same: "1"},
		{name: "names swapped", want: "a g y 5; b f x 5", runs: "1 a f x 5; 2 b g y 5", same: "2 1"},
		{name: "names moved on", want: "b f x 5; c g y 5", runs: "1 a f x 5; 2 b g y 5", same: "1 2"},
		{name: "a name moved on, its content is new", want: "a g y 5; b f x 5", runs: "1 a f x 5", steps: "add a", same: "1"},
		{name: "the same content twice, by name", want: "a f x 5; b f x 6", runs: "1 b f x 6; 2 a f x 5"},
		{name: "the same content twice, by place", want: "c f x 5; d f x 6", runs: "1 b f x 6; 2 a f x 5", same: "2 1"},
		{name: "recorded twice", want: "a f x 5", runs: "1 a f x 5; 2 a f x 5", steps: "remove a 2"},
		{name: "no record, same tag", want: "a f x 5", runs: "1 - f x 5", steps: "adopt a 1"},
		{name: "no record, same tag, elsewhere", want: "a f x 5", runs: "1 - f x 8", steps: "adopt a 1; move a 1 8->5"},
		{name: "no record, same tag, other contents", want: "a f x 5", runs: "1 - f x 5", unlike: "1", steps: "replace a 1"},
		{name: "no record, other contents count less than the place", want: "a f x 5", runs: "1 - f x 5; 2 - f x 9", unlike: "1", steps: "adopt a 2; move a 2 9->5"},
		{name: "no record, other tag", want: "a f x 5", runs: "1 - f y 5", steps: "add a"},
		{name: "no record, other tag, adopted", want: "a f x 5", runs: "1 - f y 5", adopt: true, steps: "replace a 1"},
		{name: "no record, other function", want: "a f x 5", runs: "1 - g x 5", adopt: true, steps: "add a"},
		{name: "no records, the tag decides", want: "a f x 5", runs: "1 - f y 5; 2 - f x 9", adopt: true, steps: "adopt a 2; move a 2 9->5"},
		{name: "no records, the place decides", want: "a f x 5; b f x 9", runs: "1 - f x 9; 2 - f x 5", steps: "adopt a 2; adopt b 1"},
		{name: "no records, nobody knows", want: "a f x 5", runs: "1 - f y 5; 2 - f z 9", adopt: true, steps: "add a"},
		{name: "two want one", want: "a f x 5; b f y 5", runs: "1 - f z 5", adopt: true, steps: "add a; add b"},
		{name: "the record wins over the tag", want: "a f x 5", runs: "1 - f x 5; 2 a f x 5"},
		{name: "loaded by hand, the same", want: "a f x 5", runs: "1 +f f x 5", steps: "adopt a 1"},
		{name: "loaded by hand, another", want: "a f x 5", runs: "1 +a f y 5", steps: "add a"},
		{name: "loaded by hand, another, adopted", want: "a f x 5", runs: "1 +a f y 5", adopt: true, steps: "replace a 1"},
		{name: "loaded by hand, not wanted", runs: "1 +a f y 5"},
		{name: "loaded by hand, pruned", runs: "1 +a f y 5", prune: true, steps: "remove f 1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			wants := all(want, c.want)
			for _, w := range wants {
				w.unlike = map[uint32]string{}
				if c.unlike != "" {
					var id uint32
					mustScan(c.unlike, &id)
					w.unlike[id] = "its map m doesn't hold what the file says"
				}
			}
			steps, corrections := diff(wants, all(run, c.runs), Options{Prune: c.prune, Adopt: c.adopt})
			var got, ids []string
			for _, s := range steps {
				got = append(got, stepText(s))
			}
			for _, a := range corrections {
				ids = append(ids, fmt.Sprint(a.running.ID))
			}
			if text := strings.Join(got, "; "); text != c.steps {
				t.Errorf("steps: got %q, want %q", text, c.steps)
			}
			if text := strings.Join(ids, " "); text != c.same {
				t.Errorf("records: got %q, want %q", text, c.same)
			}
		})
	}
}

// TestLostPins: a pin that is gone is put back, one that is another's by now makes the
// program come anew.
func TestLostPins(t *testing.T) {
	r := run("1 a f x 5")
	r.unpinned = []string{"m", "n"}
	steps, _ := diff(all(want, "a f x 7"), []*running{r}, Options{})
	if len(steps) != 2 || stepText(steps[0]) != "move a 1 5->7" || stepText(steps[1]) != "pin a 1" || steps[1].Reason != "not pinned any more: m, n" {
		t.Errorf("steps: %+v", steps)
	}
	r.otherPin = "m"
	steps, _ = diff(all(want, "a f x 5"), []*running{r}, Options{})
	if len(steps) != 1 || stepText(steps[0]) != "replace a 1" || steps[0].Reason != "the pin of its map m is another map's" {
		t.Errorf("steps: %+v", steps)
	}
}

// TestNamesakeStays: who adds a program beside another tool's of its name is told.
func TestNamesakeStays(t *testing.T) {
	steps, _ := diff(all(want, "a f x 5"), all(run, "1 - f y 5"), Options{})
	if len(steps) != 1 || steps[0].Reason != "program 1 (f) has another content, was not put there by apply, and stays" {
		t.Errorf("steps: %+v", steps)
	}
	steps, _ = diff(all(want, "a f x 5"), all(run, "1 - f y 5"), Options{Prune: true})
	if len(steps) != 2 || steps[0].Reason != "" || steps[1].Action != Remove {
		t.Errorf("steps: %+v", steps)
	}
}

func TestTransactionSetsOnce(t *testing.T) {
	w := want("a f x 7")
	w.place.Actions = *xdp.On(xdp.Drop)
	steps, _ := diff([]*wanted{w}, all(run, "4 a f x 5"), Options{})
	if len(steps) != 2 || steps[0].Action != Move || steps[1].Action != Change {
		t.Fatalf("steps: %+v", steps)
	}
	tx := transaction(xdp.ModeSKB, steps)
	if len(tx.Set) != 1 || tx.Set[0].ID != 4 || *tx.Set[0].Priority != 7 || *tx.Set[0].Actions != w.place.Actions {
		t.Errorf("transaction: %+v", tx)
	}
	if tx.Mode != xdp.ModeSKB || len(tx.Add)+len(tx.Remove)+len(tx.Replace) != 0 {
		t.Errorf("transaction: %+v", tx)
	}
}

// commit does to a list of running programs what the transaction is documented to
// do to a chain, and records as Apply does.
func commit(runs []*running, steps []Step, corrections []correction) []*running {
	tx := transaction(xdp.ModeNative, steps)
	nextID := uint32(1000)
	load := func(w *wanted, p xdp.Program) *running {
		nextID++
		return &running{
			ifindex: 7,
			Component: dispatcher.Component{
				Loaded:   xdp.Loaded{ID: nextID, Name: p.Name, Tag: w.tag},
				Priority: *p.Priority, Actions: *p.Actions, Frags: *p.Frags},
			record: &record{ID: nextID, Tag: w.tag, Program: w.entry, Digest: w.digest, Applied: []int{7}},
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
		adopt := func(w *wanted) {
			now.record = &record{ID: r.ID, Tag: r.Tag, Program: w.entry, Digest: w.digest, Applied: []int{7}}
		}
		for _, c := range corrections {
			if c.running == r {
				adopt(c.want)
			}
		}
		for _, s := range steps {
			if s.Action == Adopt && s.ID == r.ID {
				adopt(s.want)
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
		Actions:  xdp.Actions(rapid.Uint32Range(0, 3).Draw(t, "actions")),
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
			rapid.SampledFrom([]string{"-", "-", "+a", "+f", "a", "b", "c", "e"}).Draw(t, "record"),
			rapid.SampledFrom([]string{"f", "g", "h"}).Draw(t, "function"),
			rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "content")))
		p := genPlace(t)
		r.Priority, r.Actions, r.Frags = p.Priority, p.Actions, p.Frags
		list = append(list, r)
	}
	return list
}

// TestDiffProperties: applying a plan gives the wanted state, a second plan is
// empty, nobody is named twice, and strangers stay unless they are pruned, adopted or
// what is wanted.
func TestDiffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, before := genWanted(t), genRunning(t)
		opts := Options{Prune: rapid.Bool().Draw(t, "prune"), Adopt: rapid.Bool().Draw(t, "adopt")}
		for _, w := range want {
			w.unlike = map[uint32]string{}
			for _, r := range before {
				if rapid.Bool().Draw(t, "unlike") {
					w.unlike[r.ID] = "unlike"
				}
			}
		}
		steps, adopt := diff(want, before, opts)
		checkOnce(t, transaction(xdp.ModeNative, steps), before)

		after := commit(before, steps, adopt)
		for _, w := range want {
			i := slices.IndexFunc(after, func(r *running) bool { return r.applied() && r.record.Program.Name == w.entry.Name })
			if i < 0 {
				t.Fatalf("%s doesn't run", w.entry.Name)
			}
			if r := after[i]; !r.applied() || r.place() != w.place || r.record.Digest != w.digest || r.Name != w.function || r.Tag != w.tag {
				t.Fatalf("%s runs as %+v", w.entry.Name, r)
			}
		}
		recorded := 0
		for _, r := range after {
			if r.applied() {
				recorded++
			} else if opts.Prune {
				t.Fatalf("%+v was not pruned", r)
			}
		}
		if recorded != len(want) {
			t.Fatalf("%d programs are wanted, %d are recorded", len(want), recorded)
		}
		for _, r := range before {
			taken := slices.ContainsFunc(want, func(w *wanted) bool { return w.function == r.Name && (opts.Adopt || w.tag == r.Tag) })
			if !r.applied() && !opts.Prune && !taken && !slices.ContainsFunc(after, func(a *running) bool { return a.ID == r.ID && a.place() == r.place() }) {
				t.Fatalf("another tool's %+v has changed", r)
			}
		}
		if again, adopt := diff(want, after, opts); len(again) != 0 || len(adopt) != 0 {
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
		steps, corrections := diff(want, nil, Options{})
		runs := commit(nil, steps, corrections)
		for _, w := range want {
			w.place = genPlace(t)
		}
		steps, _ = diff(want, runs, Options{Prune: true})
		for _, s := range steps {
			if s.Action != Move && s.Action != Change {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func TestPossible(t *testing.T) {
	native, skb := xdp.ModeNative, xdp.ModeSKB
	eth0 := xdp.Interface{Name: "eth0", Index: 2}
	loaded := &xdp.Loaded{ID: 7, Name: "xdp_dispatcher"}
	some := []*wanted{want("a f x 5")}
	alone := []Step{{Action: Remove, alone: true}}
	adds := func(n int) []Step { return slices.Repeat([]Step{{Action: Add}}, n) }
	cases := []struct {
		name  string
		chain dispatcher.Chain
		mode  xdp.Mode
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
		{"any mode", dispatcher.Chain{Mode: &skb, Dispatcher: loaded}, xdp.ModeUnspecified, some, nil, ""},
		{"mode, but nothing is wanted", dispatcher.Chain{Mode: &skb, Dispatcher: loaded}, native, nil, nil, ""},
		{"legacy", dispatcher.Chain{Mode: &native, Legacy: loaded}, native, some, adds(1),
			"eth0 has program 7 (xdp_dispatcher), attached without a dispatcher, and nothing can join that"},
		{"legacy goes", dispatcher.Chain{Mode: &native, Legacy: loaded}, native, nil, alone, ""},
		{"legacy held by a link", dispatcher.Chain{Mode: &native, Legacy: loaded, Link: 1 << 30}, native, some, adds(1),
			"eth0 has program 7 (xdp_dispatcher), held by bpf_link 1073741824, and only through that can it be changed"},
		{"legacy held by a link doesn't go", dispatcher.Chain{Mode: &native, Legacy: loaded, Link: 1 << 30}, native, nil, alone,
			"eth0 has program 7 (xdp_dispatcher), held by bpf_link 1073741824, and only through that can it be changed"},
		{"held by a link, nothing to do", dispatcher.Chain{Mode: &native, Dispatcher: loaded, Link: 1 << 30}, native, nil, nil, ""},
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

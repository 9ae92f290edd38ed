package desired

import "slices"

// match finds for each wanted program the one that runs. Of those that Apply has put
// there: the same content, at best under the same name, or else the same name. Of the
// others, the same content. With adopt, the only one left of that function too.
func match(want []*wanted, runs []*running, adopt bool) map[*wanted]*running {
	pairs := map[*wanted]*running{}
	taken := map[*running]bool{}
	pair := func(fits func(*wanted, *running) bool) {
		for _, w := range want {
			for _, r := range runs {
				if pairs[w] == nil && !taken[r] && fits(w, r) {
					pairs[w], taken[r] = r, true
				}
			}
		}
	}
	// Content goes before names: what still runs keeps its maps, whatever it is called
	// in the file now.
	made := func(w *wanted, r *running) bool { return r.applied() && r.record.Digest == w.digest }
	called := func(w *wanted, r *running) bool { return r.applied() && r.record.Program.Name == w.entry.Name }
	placed := func(w *wanted, r *running) bool { return r.place() == w.place }
	like := func(w *wanted, r *running) bool { return twin(w, r) && differs(w, r) == "" }
	pair(func(w *wanted, r *running) bool { return made(w, r) && called(w, r) })
	pair(func(w *wanted, r *running) bool { return made(w, r) && placed(w, r) })
	pair(made)
	pair(called)
	pair(func(w *wanted, r *running) bool { return like(w, r) && placed(w, r) })
	pair(like)
	pair(func(w *wanted, r *running) bool { return twin(w, r) && placed(w, r) })
	pair(twin)
	if !adopt {
		return pairs
	}
	namesake := func(w *wanted, r *running) bool {
		return pairs[w] == nil && !taken[r] && !r.applied() && r.Name == w.function
	}
	only := map[*wanted]*running{}
	for _, w := range want {
		for _, r := range runs {
			others := slices.ContainsFunc(runs, func(o *running) bool { return o != r && namesake(w, o) }) ||
				slices.ContainsFunc(want, func(o *wanted) bool { return o != w && namesake(o, r) })
			if namesake(w, r) && !others {
				only[w] = r
			}
		}
	}
	for w, r := range only {
		pairs[w] = r
	}
	return pairs
}

// twin says whether a program that Apply has not put there is the wanted one by what
// is recorded of it, or by its code.
func twin(w *wanted, r *running) bool {
	return !r.applied() && (recordedAs(w, r) || r.Name == w.function && r.Tag == w.tag)
}

// recordedAs says whether the record of a program tells that it was made from what
// is wanted.
func recordedAs(w *wanted, r *running) bool { return r.record != nil && r.record.Digest == w.digest }

// differs says why the program has to be loaded anew; empty: it hasn't.
func differs(w *wanted, r *running) string {
	switch {
	case r.otherPin != "":
		return "the pin of its map " + r.otherPin + " is another map's"
	case recordedAs(w, r):
		return ""
	case r.applied():
		return "its object, program, pin path, map contents or map sizes have changed"
	case r.Tag != w.tag:
		return "its tag is another"
	}
	return w.unlike[r.ID]
}

package desired

import "slices"

// match finds for each wanted program the one that runs. A program that Apply has put there
// matches by its content, best if the name is the same too, and else by its name. A program
// of another tool matches by its content. With adopt, one that is left also matches by its
// function's name, if that is the only one on each side.
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
	// Content goes before names, so that a program which was renamed in the file keeps its
	// maps.
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

// twin says whether a program of another tool, or one loaded by hand, is the wanted one: by
// its record, or by its code.
func twin(w *wanted, r *running) bool {
	return !r.applied() && (recordedAs(w, r) || r.Name == w.function && r.Tag == w.tag)
}

// recordedAs says whether, by its record, a program was made from what is wanted.
func recordedAs(w *wanted, r *running) bool { return r.record != nil && r.record.Digest == w.digest }

// differs says why the program has to be loaded anew. It is empty if it need not.
func differs(w *wanted, r *running) string {
	switch {
	case r.otherPin != "":
		return "the pin of its map " + r.otherPin + " is another map's"
	case recordedAs(w, r):
		return ""
	case r.applied():
		return "its object, program, pin path, map contents, map sizes, variables or tail calls have changed"
	case r.Tag != w.tag:
		return "its tag is another"
	}
	return w.unlike[r.ID]
}

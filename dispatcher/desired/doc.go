// Package desired makes interfaces run what a file says should run.
//
// [Read] reads the files: interfaces, by name or pattern, with their programs.
// [State.Plan] tells what is between that and what runs, [State.Apply] does it, in
// one swap of each interface's dispatcher, and [Export] writes the file for what
// runs now.
//
// # Whose a program is
//
// Apply records each program that it loads below /run/xdpmux: the entry of the
// file, a digest of what the program was made from, and the interfaces on which a
// state wants it. A record counts only for the program whose id, tag and load time it
// has, so that neither a reboot nor an unload by another tool confuses it. By the
// record a program is known to be the state's own, which is taken away when the file
// doesn't have it any more, and its object to have changed.
//
// [Record] keeps the same of programs that are loaded by hand, for [Export]. These, and
// those without record, belong to others and stay, unless [Options.Prune] says
// otherwise. One that is the same as an entry's, by its digest or by its tag, maps and
// constants, is taken for the state's: a step of the plan says so. [Options.Adopt]
// replaces one that has the same function's name and other code.
//
// What is to be done is computed by a planner without a kernel.
package desired

// Package desired makes interfaces run what a file says should run.
//
// [Read] reads the files: interfaces, by name or pattern, with their programs.
// [State.Plan] tells how that differs from what runs. [State.Apply] makes it so, in one
// swap of each interface's dispatcher. [Export] returns the state that runs now, and
// [State.YAML] makes a file of it.
//
// # Whose a program is
//
// Apply records each program that it loads below /run/xdpmux: the entry of the file, a
// digest of what the program was made from, and the interfaces on which a state wants it.
// A record counts only for the program whose id, tag and load time it has, so neither a
// reboot nor an unload by another tool confuses it. From the records Apply knows which
// programs are the state's own, so that it removes one when the file doesn't have it any
// more. From the digest it knows that an object has changed.
//
// [Record] keeps the same of programs that are loaded by hand, for [Export]. These
// programs, and those without a record, belong to others. They stay, unless
// [Options.Prune] says otherwise. If one is the same as an entry of the file, the state
// adopts it, and a step of the plan says so. It is the same if its digest is, or its tag,
// maps and constants. [Options.Adopt] also replaces one that has the same function's name
// and other code.
//
// The planner works without a kernel.
package desired

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
// file and a digest of what the program was made from. A record counts only for
// the program whose id, tag and load time it has, so that neither a reboot nor an
// unload by another tool confuses it. By the record a program is known to be
// xdpmux's own, which is taken away when the file doesn't have it any more, and
// its object to have changed. A program without record is taken for the file's if
// its function's name and its tag are those of an entry, or if it is the only one
// of that name; any other belongs to another tool and stays, unless
// [Options.Prune] says otherwise.
//
// What is to be done is computed by a planner without a kernel.
package desired

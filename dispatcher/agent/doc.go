// Package agent keeps a machine as the state files of a directory declare it.
//
// [Run] reads the files (package desired), makes each interface run what they declare, and
// then waits: for a change of the files, for an interface that comes, goes or is renamed, and
// for a program that somebody else attaches or takes off. Only what that concerns is looked at,
// and each interface that isn't as declared is changed in one swap.
//
// An interface that was as declared, and is so no more without a change of the files, has
// drifted. The agent mends that after a moment, but not in a fight: after two mends within a
// minute it only reports.
//
// What it knows is below /run/xdpmux/agent, so an agent that is started again, after whatever
// end, goes on where the last one was, and loads nothing anew that runs.
//
// One goroutine does everything, but for changes that are tried: these wait for their guards,
// each in a goroutine of its own, and tell the first one what has become of them.
package agent

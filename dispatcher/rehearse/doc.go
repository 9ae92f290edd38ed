// Package rehearse tells what a change would do to packets, before it is made.
//
// [Open] makes two copies of an interface's chain: as it is, and as a change would make it.
// Neither is attached anywhere, and both have maps of their own. These begin with what the
// maps of the running programs hold at that moment. [Rehearsal.Run] sends a packet through
// both.
//
// The chain that runs isn't touched, nor are its maps.
//
// # What is copied
//
// A program that runs is copied from the object that it was loaded from: the records of
// package desired tell the file, and the copy has to have the program's tag. Global variables
// and constants are those of the running program. Programs that share a map share its copy.
//
// # What a test run can't show
//
// Packets follow each other without a pause, on one CPU and on receive queue 0; what is
// redirected goes nowhere. Some maps can't be copied. [Rehearsal.Limits] names the programs
// to which one of these matters. They are found by the helpers that the programs call and by
// the types of their maps.
//
// The process needs CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN.
package rehearse

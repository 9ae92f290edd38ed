// Package libbpf binds the parts of the system's libbpf that xdpmux needs.
//
// The layer is thin and holds no opinion: a function or method makes one C
// call, turns its result into a Go value and an error, and does nothing else.
// It doesn't retry, has no defaults, prints nothing and takes no lock. What to
// load, where and when is decided in package dispatcher.
//
// # Ownership
//
//   - [Object] owns its bpf_object, the programs and maps in it and the buffer
//     of its verifier log. [Program], [Map] and the [BTF] of an object are
//     borrowed from it and die with [Object.Close].
//   - An object made by [BorrowObject] is somebody else's; its Close lets go of
//     nothing.
//   - [FD] owns one descriptor. What [Program.FD] and [Map.FD] return is
//     borrowed from the object.
//   - [BTF] made by [LoadBTF] is owned and must be closed.
//
// Close is the only name for letting go. It is idempotent, and there are no
// finalizers: what isn't closed leaks, and the tests look for leaks.
//
// # Threads
//
// libbpf keeps no state between objects, so different objects may be used by
// different goroutines at once; one object may not. The log hook is global and
// safe to set at any time.
//
// # Errors
//
// Every error is an [*Error] that names the C call and unwraps to a
// [syscall.Errno].
package libbpf

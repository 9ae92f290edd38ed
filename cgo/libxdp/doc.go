// Package libxdp binds the system's libxdp: programs, the chain of programs on
// an interface (libxdp's "multiprog") and its clean-up.
//
// The layer is thin and holds no opinion; see package
// [github.com/xdpmux/xdpmux/cgo/libbpf], whose rules and error type it shares.
// What to attach, where and when is decided in package dispatcher.
//
// # Ownership
//
//   - [Program] from Open, FromObject, FromID, FromFD or FromPin is owned and must
//     be closed. A program that was opened from a [libbpf.Object] borrows the
//     object, which has to live longer.
//   - [FromFD] takes the descriptor over, whether or not it fails.
//   - [Multiprog] is owned and must be closed. The programs that it hands out are
//     borrowed: their Close does nothing, and they die with it.
//   - [Program.Object] is borrowed from the program.
//
// libxdp itself leaks: up to version 1.3.1 at least, GetMultiprog, and what is built
// on it, leaves a descriptor of the dispatcher and of each component program open.
// A process that lives long reads chains another way, as package dispatcher does.
//
// # Threads
//
// libxdp is not safe for concurrent use: it caches the bpffs directory and its
// check of the kernel in static variables, and its memory of which error belongs
// to which call is errno. Callers serialise; package dispatcher does. One process
// can serve one bpffs only.
//
// # Errors
//
// libxdp returns error pointers and negative errnos; both become a
// [*libbpf.Error] in the one shim of each call.
package libxdp

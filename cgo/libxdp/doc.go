// Package libxdp binds the system's libxdp: programs, the chain of programs on
// an interface (libxdp's "multiprog") and its clean-up (xdp/libxdp.h), and AF_XDP
// sockets (xdp/xsk.h). It builds against libxdp 1.3 to 1.6.
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
//   - [Umem] and [Socket] own what libxdp holds for them and their rings. A socket is
//     closed before its umem, and the umem before its memory is unmapped.
//   - [CreateUmemWithFD] takes the descriptor over if it succeeds. What [SetupXDPProg]
//     returns is the caller's.
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
// [*libbpf.Error] in the one shim of each call. What came after libxdp 1.3 is looked for
// when the process starts: without it, a call returns a [*libbpf.UnsupportedError] that
// names the version which has it.
//
// # What has no method
//
//   - libxdp_get_error: each shim decodes the pointer that its call returned, for later
//     the call can't be told any more which pointers are errors.
//   - The fields id, fd, pin_path, find_filename and open_filename of
//     xdp_program__create: [FromID], [FromFD], [FromPin], [FindFile] and [OpenFile] do
//     the same.
//   - The parameter flags of xdp_program__clone, xdp_program__detach and
//     xdp_program__detach_multi: it must be 0.
package libxdp

// Package libxdp binds the system's libxdp: programs, the chain of programs on an interface
// (libxdp's "multiprog") and its clean-up (xdp/libxdp.h), and AF_XDP sockets (xdp/xsk.h).
// It builds against libxdp 1.3 to 1.6.
//
// The layer is thin and holds no opinion; see package
// [github.com/xdpmux/xdpmux/cgo/libbpf], whose rules and error type it shares.
// What to attach, where and when is decided in package
// [github.com/xdpmux/xdpmux/dispatcher].
//
// # Chains and sockets
//
// [OpenFile] gives a [Program] with its run priority and chain call actions, which may be
// changed. [Program.Attach] adds it to the chain of an interface, [AttachMulti] several at
// once. [GetMultiprog] reads the chain that is there, whoever made it.
//
// [CreateUmem] and [CreateSocket] make an AF_XDP socket, which receives and sends packets
// by the four rings of a [Umem] and a [Socket]: [ProdRing] and [ConsRing].
//
// # Ownership
//
//   - [Program] from OpenFile, FindFile, FromObject, FromObjectSection, FromID, FromFD,
//     FromPin or Clone owns its xdp_program and must be closed. [Program.Object] is borrowed
//     from it, as is [Program.FD].
//   - A program from FromObject or FromObjectSection borrows the [libbpf.Object], which has
//     to live longer.
//   - [FromFD] takes the descriptor over, whether or not it fails.
//   - [Multiprog] owns its xdp_multiprog and must be closed. The programs that it hands out
//     are borrowed: their Close does nothing, and they die with it.
//   - [Umem] and [Socket] own their xsk_umem and xsk_socket, and the memory of their rings,
//     and must be closed: a socket before its umem, and the umem before its memory is
//     unmapped. [Umem.FD] and [Socket.FD] are borrowed.
//   - [CreateUmemWithFD] takes the descriptor over if it succeeds. What [SetupXDPProg]
//     returns is the caller's.
//
// What was closed must not be used any more; C would read freed memory.
//
// libxdp itself leaks: up to version 1.3.1 at least, GetMultiprog, and what is built on it,
// leaves a descriptor of the dispatcher and of each component program open. A process that
// lives long reads chains another way, as package dispatcher does.
//
// # Threads
//
// libxdp is not safe for concurrent use. It keeps the directory of the bpffs, and what it
// has found out about the kernel, in static variables. Callers see to it that one call is
// made at a time; package dispatcher does so for its own. One process can serve one bpffs
// only. The rings of different sockets may be used at once.
//
// # Errors
//
// libxdp returns error pointers and negative errnos; both become a [*libbpf.Error]. What
// came after libxdp 1.3 is looked for when the process starts: without it, a call returns
// a [*libbpf.UnsupportedError] that names the version which has it.
//
// # What has no method
//
//   - libxdp_get_error: it can tell an error pointer only right behind the call that
//     returned it, and so each call here does that itself.
//   - The fields id, fd, pin_path, find_filename and open_filename of
//     xdp_program__create: [FromID], [FromFD], [FromPin], [FindFile] and [OpenFile] do
//     the same.
//   - The parameter flags of xdp_program__clone, xdp_program__detach and
//     xdp_program__detach_multi: it must be 0.
package libxdp

// Package libbpf binds the part of the system's libbpf that chains of XDP programs, their
// maps, links and ring buffers need. It builds against libbpf 1.1 to 1.7.
//
// The layer is thin and holds no opinion: a function or method makes one C call, turns
// its result into a Go value and an error, and does nothing else. It doesn't retry, has
// no defaults, prints nothing and takes no lock. What to load, where and when is decided
// in package [github.com/xdpmux/xdpmux/dispatcher].
//
// # From a file to the wire
//
// [OpenFile] or [OpenMem] gives an [Object]. Its programs and maps are looked at, and
// changed, until [Object.Load] puts them into the kernel. From then on they are used by
// their descriptors: [LinkCreate] and [XDPAttach] put a program on an interface, [TestRun]
// tries it, [MapLookup] and its kin read and write a map, [NewRingBuffer] reads a ring
// buffer. What is loaded already, by whomever, is found by [NextProgID] and its kin, opened
// by [ProgByID] or [ObjGet], and described by [ProgInfoByFD].
//
// # Ownership
//
//   - [Object] owns its bpf_object, with its programs, maps and type information, and the
//     memory of its verifier log. The [Program], [Map] and [BTF] that it hands out are
//     borrowed: they die with [Object.Close], as do [Program.FD], [Map.FD] and the memory
//     of [Map.InitialValue].
//   - [OpenMem] has libbpf copy the file. [Map.ReuseFD] has it duplicate the descriptor.
//   - An object made by [BorrowObject] is somebody else's; its Close lets go of nothing.
//     [Object.Pointer] still belongs to the object.
//   - [BTF] from [LoadBTF] or [LoadVmlinuxBTF] is owned and must be closed.
//   - [RingBuffer] owns its ring_buffer and must be closed. The maps are those of who gave
//     their descriptors. A record is libbpf's, and good until the function that was given
//     it returns. [RingBuffer.EpollFD] is borrowed.
//   - [FD] owns one descriptor and must be closed. Arguments of type int are descriptors
//     that stay the caller's.
//   - All strings, and the slices that the kernel reads or writes, are Go's: C keeps none.
//
// Close is the only name for letting go. It is idempotent, and there are no finalizers:
// what isn't closed leaks. What was closed must not be used any more; C would read freed
// memory.
//
// # Lengths
//
// The kernel reads and writes as many bytes of a key or value as the map has, whatever the
// length of the slice: one that is too short is overrun. [MapInfoByFD] tells the sizes.
//
// # Threads
//
// libbpf keeps no state between objects, so different objects may be used by different
// goroutines at once; one object, or one ring buffer, may not. The log hook is global and
// safe to set at any time.
//
// # Errors
//
// An error is an [*Error] that names the C call and unwraps to a [syscall.Errno]. A call
// that this libbpf is too old for returns an [*UnsupportedError].
//
// # What isn't here
//
// Skeletons, the linker, programs of other kinds than XDP and what replaces or traces one,
// perf buffers and user ring buffers. bpf_xdp_detach is [XDPAttach] with a progFD of -1;
// struct bpf_link and the functions that return one (bpf_program__attach_xdp) are an [FD]
// here, and [LinkCreate].
package libbpf

// Package observe tells what the programs of a chain do to packets.
//
//   - [Open] counts: how many packets each program has seen, with which verdict, and in
//     what time.
//   - [OpenReplay] tells what becomes of one packet that it sends through the chain.
//   - [OpenLive] tells what happens to the packets of the wire.
//
// It attaches fexit programs to the programs of the chain, and fentry programs if time is
// asked for. Nothing about the chain changes. Only descriptors hold these probes, so they
// end with Close or with the process, however that ends.
//
// # Accuracy
//
// Counts are exact from the moment that an interface is observed. They are by program and
// by the interface that a packet came in on, also if several interfaces share a program.
// All programs of a chain begin with the same packet. What a chain let out is counted at
// its dispatcher.
//
// When others swap the chain, programs that stay go on being counted. Packets that met the
// new dispatcher before it had a probe are in its Missed. They are also in the Missed of
// the programs that joined by the swap, which met at most that many. The number comes from
// the interface's own count of received packets. It is exact if the driver counts each
// packet that meets XDP, dropped or not, as veth and virtio_net do, and once packets have
// paused for a moment. Before that it may lack packets under way.
//
// An Observer discovers a swap a moment after it. For the packets in between, HandedOn and
// Decided of a program that stays are counted as in the chain before. If others join a lone
// program, the dispatcher's verdicts are, too.
//
// When an interrupt brings a packet while a probe runs on that CPU, the kernel leaves out
// the run of the same probe. It counts these runs, and they are in Missed. If interfaces
// share a program, they are in the Missed of each.
//
// # Kernel
//
// The kernel has to take fentry and fexit programs on running programs; one that can run a
// dispatcher does. [OpenLive] takes Linux 5.19, for bpf_ringbuf_reserve_dynptr (bpf-helpers(7)). The process needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and for programs that
// xdpmux has not pinned CAP_SYS_ADMIN.
package observe

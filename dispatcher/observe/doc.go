// Package observe tells what the programs of a chain do to packets: how many each
// has seen, with which verdict, in what time ([Open]), what becomes of one packet
// ([OpenReplay]), and what happens to the packets of the wire ([OpenLive]).
//
// It attaches fexit, and where time is asked for fentry, programs to the programs
// of the chain. Nothing about the chain changes. The attachments are held by
// descriptors alone, so that they end with Close or with the process, however it
// ends.
//
// # Accuracy
//
// Counts are exact from the moment an interface is observed: by program and by the
// interface that a packet came in on, also where several interfaces share a program.
// All programs of a chain begin with the same packet. What a chain let out is counted
// at its dispatcher.
//
// When others swap the chain, programs that stay go on being counted. Packets that met
// the new dispatcher before it had a probe are in its Missed, and in that of the
// programs which joined, which met so many of them at most. The number comes from the
// interface's own count of received packets. It is exact where that counts each packet
// which meets XDP, dropped or not, as those of veth and virtio_net do, and once packets
// have paused for a moment since; before, it may lack those under way.
//
// Of a program that stays, HandedOn and Decided take the packets between a swap and its
// discovery for those of the chain before. So do the verdicts of the dispatcher where a
// lone program is joined by others.
//
// The kernel leaves a run of a probe out when an interrupt brings a packet while the
// same probe runs on that CPU; it counts these, and so does Missed. Where interfaces
// share a program, the Missed of each has those of all.
//
// # Kernel
//
// It takes fentry/fexit on running programs, which a kernel that can run a
// dispatcher has, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN.
package observe

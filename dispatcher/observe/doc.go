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
// Counts are exact from the moment a program is observed. A program that joins
// the chain later is observed from a moment after it joined, when the kernel's
// notification has been acted upon. The kernel leaves a run of a probe out when an
// interrupt brings a packet while the same probe runs on that CPU; it counts these,
// and so does Missed.
//
// # Kernel
//
// It takes fentry/fexit on running programs, which a kernel that can run a
// dispatcher has, CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN.
package observe

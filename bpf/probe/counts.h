/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stats.bpf.c counts for one program on one CPU. dispatcher/observe reads it
 * as an array of __u64, so the order here is that of its constants.
 */
#ifndef XDPMUX_PROBE_COUNTS_H
#define XDPMUX_PROBE_COUNTS_H

#define VERDICTS 6   /* XDP_ABORTED to XDP_REDIRECT, then all others */
#define OCTAVE_BITS 3 /* each power of two is split into 8 buckets: 12.5 % wide */
#define OCTAVES 32    /* up to 2^32 ns, 4 s */
#define BUCKETS (OCTAVES << OCTAVE_BITS)

struct counts {
	__u64 verdict[VERDICTS];
	__u64 other_on;    /* of the others: those the dispatcher takes for a chain call action */
	__u64 timed;       /* packets whose time was taken */
	__u64 total_ns;
	__u64 max_ns;
	__u64 bucket[BUCKETS];
	__u64 packet;      /* the packet inside the program, and when it came */
	__u64 since;
};

#endif

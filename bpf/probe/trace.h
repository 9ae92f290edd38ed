/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What step.bpf.c notes of a packet on its way through a chain, for packet.bpf.c. */
#ifndef XDPMUX_PROBE_TRACE_H
#define XDPMUX_PROBE_TRACE_H

#define PROGRAMS 10

struct way {
	__u64 packet; /* address of the struct xdp_buff; 0: free */
	__u32 seen;   /* bit n: program n has run */
	__u32 verdict[PROGRAMS];
};

/* Two for each CPU, as an interrupt can bring a packet while another, of a test
 * run, is on its way. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct way);
} ways SEC(".maps");

static __always_inline struct way *way_at(__u32 key, __u64 packet)
{
	struct way *w = bpf_map_lookup_elem(&ways, &key);

	return w && w->packet == packet ? w : 0;
}

#endif

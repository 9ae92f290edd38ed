/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What step.bpf.c notes of a packet on its way through a chain, for packet.bpf.c. */
#ifndef XDPMUX_PROBE_TRACE_H
#define XDPMUX_PROBE_TRACE_H

#include "ingress.h"

#define PROGRAMS 10

struct way {
	__u64 packet; /* address of the struct xdp_buff; 0: free */
	__u32 seen;   /* bit n: program n has run */
	__u32 verdict[PROGRAMS];
};

/* Each CPU has two: an interrupt can bring a packet while that of a test run is on its
 * way. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct way);
} ways SEC(".maps");

/* dispatcher/observe opens the gate once all probes of a chain stand. No way begins before,
 * so that each is whole. A packet that was under way then has none. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} gate SEC(".maps");

static __always_inline int gate_open(void)
{
	__u32 key = 0, *open = bpf_map_lookup_elem(&gate, &key);

	return open && *open;
}

/* The interfaces whose packets are traced: others may share a program. With none, all
 * packets are. The packets of a bond come in on the interfaces below it. */
#define INGRESS 8

struct ingress {
	__u32 netns;
	__u32 untyped; /* see ingress.h */
	__u32 ifindex[INGRESS];
};

static __always_inline int came_in(__u64 *ctx, const volatile struct ingress *want)
{
	struct net_device *dev;
	__u32 ifindex;

	if (!want->ifindex[0])
		return 1;
	dev = ingress(ctx, want->untyped);
	ifindex = ifindex_of(dev, want->untyped);
	for (int i = 0; i < INGRESS && want->ifindex[i]; i++)
		if (want->ifindex[i] == ifindex)
			return netns_of(dev, want->untyped) == want->netns;
	return 0;
}

static __always_inline struct way *way_at(__u32 key, __u64 packet)
{
	struct way *w = bpf_map_lookup_elem(&ways, &key);

	return w && w->packet == packet ? w : 0;
}

#endif

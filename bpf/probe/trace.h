/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What step.bpf.c notes of a packet on its way through a chain, for packet.bpf.c. */
#ifndef XDPMUX_PROBE_TRACE_H
#define XDPMUX_PROBE_TRACE_H

#include "ingress.h"
#include "filter.h"

struct task_struct {
	void *stack;
} __attribute__((preserve_access_index));

#define PROGRAMS 10

/* What is known of a packet. The first of what dispatcher/observe is told. */
struct head {
	__u64 time; /* bpf_ktime_get_ns, as it left the chain */
	__u32 final;
	__u16 seen;   /* bit n: program n has run */
	__u16 source; /* number of the trace that tells of it */
	__u32 verdict[PROGRAMS];
	__u32 length;   /* of the packet as it left the chain */
	__u32 captured; /* bytes of it that follow */
	__u32 queue;    /* that it was received on */
	__u32 points;   /* bytes of points that follow */
};

/* The packet as it came to a program, or as it left it. What is captured follows, and after
 * it the next multiple of 8 bytes is free. */
struct point {
	__u64 time;
	__u16 slot;
	__u16 exit; /* 0: it came, 1: it left */
	__u32 length;
	__u32 captured;
	__u32 reserved;
};

#define POINTS (2 * PROGRAMS * (sizeof(struct point) + SNAP))

struct way {
	__u64 packet;  /* address of the struct xdp_buff; 0: free */
	__u32 seen;    /* bit n: program n has run */
	__u32 entered; /* bit n: it came to program n; only where points are asked for */
	__u32 verdict[PROGRAMS];
	__u32 trail;  /* place in trails */
	__u32 points; /* bytes used of it */
	__u32 passed; /* 1: the filter took the packet at one of them */
};

/* Each CPU has two: an interrupt can bring a packet while that of a test run is on its
 * way. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct way);
} ways SEC(".maps");

/* The points of the packets on their ways. An entry belongs to one way of one CPU, so its
 * number is set by dispatcher/observe. In test runs there is one packet at a time, and
 * nobody takes the first entry from it before it is read. */
struct trail {
	struct head head;
	__u8 points[POINTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trail);
} trails SEC(".maps");

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

/* Tells of test runs of one thread only. */
struct replay {
	__u64 pidns_dev, pidns_ino; /* the namespace that tid counts in */
	__u32 tid;                  /* 0: all packets */
	__u32 reserved;
};

/* Says whether the packet is that of the test run of the configured thread. Its struct
 * xdp_buff is on that thread's stack, and that of a packet which an interrupt brings
 * meanwhile is elsewhere. */
static __always_inline int mine(__u64 *ctx, const volatile struct replay *replay)
{
	__u64 packet; /* read as a number: the verifier lets nobody calculate with ctx[0] */
	struct bpf_pidns_info ns = {};
	struct task_struct *task = bpf_get_current_task_btf();

	if (bpf_probe_read_kernel(&packet, sizeof(packet), ctx))
		return 0;
	if (bpf_get_ns_current_pid_tgid(replay->pidns_dev, replay->pidns_ino, &ns, sizeof(ns)))
		return 0;
	return ns.pid == replay->tid && packet - (__u64)task->stack < 64 << 10;
}

static __always_inline struct way *way_at(__u32 key, __u64 packet)
{
	struct way *w = bpf_map_lookup_elem(&ways, &key);

	return w && w->packet == packet ? w : 0;
}

static __always_inline struct way *way_of(__u64 packet)
{
	return way_at(0, packet) ?: way_at(1, packet);
}

/* A packet's way begins, in a free place. Without one it takes the first: the way there never
 * came to its end. */
static __always_inline struct way *begin_way(__u64 packet, const volatile struct replay *replay)
{
	__u32 first = 0, second = 1, at = 0;
	struct way *w = way_of(packet), *other = bpf_map_lookup_elem(&ways, &second);

	if (!w)
		w = way_at(0, 0) ?: way_at(1, 0) ?: bpf_map_lookup_elem(&ways, &first);
	if (!w)
		return 0;
	if (!replay->tid)
		at = 2 * bpf_get_smp_processor_id() + (w == other);
	w->packet = packet;
	w->seen = w->entered = w->points = w->passed = 0;
	w->trail = at;
	return w;
}

/* Copies what is in the packet's first buffer, up to snap bytes. Returns how many they are. */
static __always_inline __u64 copy_packet(__u8 *to, __u64 *ctx, __u32 snap, int untyped)
{
	void *data = packet_start(ctx, untyped);
	__u64 captured = packet_end(ctx, untyped) - data;

	if (captured > snap)
		captured = snap;
	if (captured > SNAP)
		captured = SNAP;
	barrier_var(captured); /* else clang takes the check apart, and the verifier can't follow */
	return bpf_probe_read_kernel(to, captured, data) ? 0 : captured;
}

/* What a filter looks at. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[SNAP]);
} looked SEC(".maps");

/* Says whether the filter takes the packet as it is now. It looks at reach bytes; with 0 there is
 * no filter. */
static __always_inline int passes(__u64 *ctx, __u32 reach, int untyped)
{
	__u32 key = 0;
	__u8 *data = reach ? bpf_map_lookup_elem(&looked, &key) : 0;

	if (!reach)
		return 1;
	return data && filter(data, copy_packet(data, ctx, reach, untyped), length_of(ctx, untyped));
}

/* Adds the packet as it is now to the points of its way. */
static __always_inline void add_point(struct way *w, __u64 *ctx, __u32 slot, __u32 exit, __u32 snap, __u32 reach,
				      int untyped)
{
	__u32 key = w->trail;
	__u64 at = w->points, captured;
	struct trail *t = bpf_map_lookup_elem(&trails, &key);
	struct point *p;

	if (!t || at > POINTS - sizeof(*p) - SNAP)
		return;
	p = (void *)t->points + at;
	p->time = bpf_ktime_get_ns();
	p->slot = slot;
	p->exit = exit;
	p->length = length_of(ctx, untyped);
	captured = copy_packet((void *)(p + 1), ctx, snap, untyped);
	p->captured = captured;
	w->points = at + sizeof(*p) + ((captured + 7) & ~7);
	if (!w->passed)
		w->passed = passes(ctx, reach, untyped);
}

#endif

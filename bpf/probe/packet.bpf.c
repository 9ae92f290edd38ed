// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tells of each packet that leaves the chain, or of each that comes to it. It is attached to
 * the dispatcher, or to the program that stands in its place; on an interface without a program,
 * to a packet socket. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "trace.h"

const volatile struct {
	__u32 alone;    /* the traced program is the chain, and there are no step probes */
	__u32 verdicts; /* wanted final verdicts, bit n for verdict n, bit 5 for others */
	__u32 deciders; /* wanted places of the program that decides; bit 31: none did */
	__u32 sample;   /* one in so many of the wanted */
	__u32 programs; /* bit n: the chain has a program in slot n */
	__u32 snap;     /* bytes wanted of a packet */
	__u32 points;   /* 1: points are asked for */
	__u32 reach;    /* bytes that the filter looks at; 0: all packets are wanted */
	__u32 wake;     /* bytes of a ring buffer that wait when the reader is woken up */
	__u32 source;   /* of struct head */
	struct replay replay;
	struct ingress ingress;
} config;

/* A packet without points. */
struct event {
	struct head head;
	__u8 data[SNAP];
};

/* Those of the processors, by their numbers. dispatcher/observe makes them, all of one size. */
struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} events SEC(".maps");

/* The event of a test run. Who runs it waits for its end, and reads the event here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct head);
} replayed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
} scratch SEC(".maps");

/* The packets of one CPU. dispatcher/observe reads the numbers. */
struct told {
	__u64 packets; /* that left the chain, or came to it */
	__u64 missed;  /* whose way isn't known: they came before the gate was open, or
			* packets of an interrupt took their place */
	__u64 lost;    /* that the ring buffer had no room for */
	struct {
		__u64 packets, lost;
	} at[PROGRAMS]; /* of these, those that came to the program; only with points */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct told);
} told SEC(".maps");

static __always_inline __u32 last_of(__u32 seen)
{
	__u32 last = 31;

	for (int i = 0; i < PROGRAMS; i++)
		if (seen & 1 << i)
			last = i;
	return last;
}

/* Finds the way of a packet that has left the chain. Returns 0 if it isn't known whole. */
static __always_inline int find_way(struct head *h, struct way *w, __u64 *ctx, __u32 final)
{
	__u32 last;

	if (config.alone) {
		h->seen = 1;
		h->verdict[0] = final;
		if (!config.points)
			return gate_open();
		if (!w)
			return 0;
		w->packet = 0;
		if (w->entered != 1)
			return 0;
		add_point(w, ctx, 0, 1, config.snap, config.reach, config.ingress.untyped);
		return 1;
	}
	if (!w)
		return 0;
	h->seen = w->seen;
	__builtin_memcpy(h->verdict, w->verdict, sizeof(h->verdict));
	w->packet = 0;
	last = last_of(h->seen);
	/* The kernel may have left out a run of one of the probes. */
	return last < PROGRAMS && h->seen == (config.programs & ((2 << last) - 1));
}

/* Says whether the packet is one of the random part that is asked for. */
static __always_inline int sampled(void)
{
	return config.sample <= 1 || bpf_get_prandom_u32() % config.sample == 0;
}

/* Says whether the packet is asked for. With points, its way w says whether it passes the filter. */
static __always_inline int wanted(const struct head *h, const struct way *w, __u64 *ctx)
{
	__u32 final = h->final, decider = last_of(h->seen);

	/* After its last program the dispatcher itself says XDP_PASS. */
	if (decider < PROGRAMS && h->verdict[decider] != final)
		decider = 31;
	if (config.replay.tid && !mine(ctx, &config.replay))
		return 0;
	if (!(config.verdicts >> (final < 5 ? final : 5) & 1))
		return 0;
	if (!(config.deciders >> (decider & 31) & 1))
		return 0;
	if (!sampled())
		return 0;
	return config.points && w ? w->passed : passes(ctx, config.reach, config.ingress.untyped);
}

#define WAKING (64 << 10)

/* Tells the reader, and returns 0 if there was no room for that. The reader looks for records from
 * time to time; to wake it up for each costs more than the record does. Several packets may be told
 * of at a time, and see the same amount before. So not a certain record wakes it up, but some.
 *
 * The time is taken when there is room already, not before: the reader counts on that to find the
 * order in which packets came to several processors. */
static __always_inline int output(struct head *record, __u64 size)
{
	__u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&events, &cpu);
	struct bpf_dynptr room;
	__u64 wait;

	if (!ring)
		return 0;
	wait = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	if (bpf_ringbuf_reserve_dynptr(ring, size, 0, &room)) {
		bpf_ringbuf_discard_dynptr(&room, 0);
		return 0;
	}
	record->source = config.source;
	record->time = bpf_ktime_get_ns();
	bpf_dynptr_write(&room, 0, record, size, 0);
	bpf_ringbuf_submit_dynptr(&room, wait >= config.wake && wait < config.wake + WAKING ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	return 1;
}

/* Tells of a packet of that length, of which e has the first bytes, and returns 0 if there was no
 * room for that. */
static __always_inline int tell(struct event *e, __u64 captured, __u32 length)
{
	e->head.length = length;
	e->head.captured = captured;
	return output(&e->head, __builtin_offsetof(struct event, data) + captured);
}

/* Tells of the packet as it is now. */
static __always_inline int tell_now(struct event *e, __u64 *ctx)
{
	return tell(e, copy_packet(e->data, ctx, config.snap, config.ingress.untyped), length_of(ctx, config.ingress.untyped));
}

/* Tells of the packet with its points. */
static __always_inline int tell_points(const struct head *h, struct way *w, __u64 *ctx)
{
	__u32 key = w->trail;
	__u64 size = w->points;
	struct trail *t = bpf_map_lookup_elem(&trails, &key);

	if (!t)
		return 0;
	if (size > POINTS)
		size = POINTS;
	barrier_var(size);
	t->head = *h;
	t->head.length = length_of(ctx, config.ingress.untyped);
	t->head.points = size;
	return output(&t->head, __builtin_offsetof(struct trail, points) + size);
}

SEC("fexit")
int packet(__u64 *ctx)
{
	__u32 key = 0;
	struct event *e = bpf_map_lookup_elem(&scratch, &key);
	struct told *t = bpf_map_lookup_elem(&told, &key);
	struct way *w;
	struct head *h;

	if (!e || !t || !came_in(ctx, &config.ingress))
		return 0;
	h = &e->head;
	h->final = verdict_of(ctx, config.ingress.untyped);
	t->packets++;
	w = way_of(ctx[0]);
	if (!find_way(h, w, ctx, h->final)) {
		t->missed++;
		return 0;
	}
	if (config.points)
		for (int i = 0; i < PROGRAMS; i++)
			t->at[i].packets += h->seen >> i & 1;
	if (!wanted(h, w, ctx))
		return 0;
	h->queue = queue_of(ctx, config.ingress.untyped);
	h->captured = h->points = 0;
	if (config.points && w)
		h->points = w->points;
	if (config.replay.tid) {
		/* The test run itself returns the packet and its length. */
		struct head *r = bpf_map_lookup_elem(&replayed, &key);

		if (r)
			*r = *h;
		return 0;
	}
	if (config.points && w ? tell_points(h, w, ctx) : tell_now(e, ctx))
		return 0;
	t->lost++;
	if (config.points)
		for (int i = 0; i < PROGRAMS; i++)
			t->at[i].lost += h->seen >> i & 1;
	return 0;
}

/* A packet as it comes to the chain. No program has seen it. */
SEC("fentry")
int arrival(__u64 *ctx)
{
	__u32 key = 0;
	struct event *e = bpf_map_lookup_elem(&scratch, &key);
	struct told *t = bpf_map_lookup_elem(&told, &key);

	if (!e || !t || !came_in(ctx, &config.ingress))
		return 0;
	t->packets++;
	if (!gate_open()) {
		t->missed++;
		return 0;
	}
	if (!sampled() || !passes(ctx, config.reach, config.ingress.untyped))
		return 0;
	e->head.queue = queue_of(ctx, config.ingress.untyped);
	e->head.seen = e->head.points = 0;
	if (!tell_now(e, ctx))
		t->lost++;
	return 0;
}

#define ADDRESSES 12 /* bytes of a frame before its VLAN tag */
#define TAG 4

/* Copies the first bytes of a frame, as it was on the wire: the kernel has taken its VLAN tag out.
 * Returns how many they are, size at most. */
static __always_inline __u64 copy_frame(__u8 *to, struct __sk_buff *skb, __u32 size)
{
	__u32 tag = skb->vlan_present ? TAG : 0;
	__u64 captured = skb->len + tag, rest;

	if (captured > size)
		captured = size;
	if (captured > SNAP)
		captured = SNAP;
	if (bpf_skb_load_bytes(skb, 0, to, ADDRESSES))
		return 0;
	if (tag) {
		*(__be16 *)(to + ADDRESSES) = skb->vlan_proto;
		*(__be16 *)(to + ADDRESSES + 2) = bpf_htons(skb->vlan_tci);
	}
	if (captured <= ADDRESSES + tag)
		return captured;
	rest = captured - ADDRESSES - tag;
	barrier_var(rest); /* else clang takes the check apart, and the verifier can't follow */
	if (!rest || rest > SNAP - ADDRESSES - TAG)
		rest = SNAP - ADDRESSES - TAG;
	return bpf_skb_load_bytes(skb, ADDRESSES, to + ADDRESSES + tag, rest) ? 0 : captured;
}

/* A packet as it comes to an interface without a program. The packet socket gets none. */
SEC("socket")
int tap(struct __sk_buff *skb)
{
	__u32 key = 0, length = skb->len + (skb->vlan_present ? TAG : 0);
	struct event *e = bpf_map_lookup_elem(&scratch, &key);
	struct told *t = bpf_map_lookup_elem(&told, &key);
	__u8 *data = config.reach ? bpf_map_lookup_elem(&looked, &key) : 0;

	if (!e || !t || !gate_open())
		return 0;
	t->packets++;
	if (!sampled())
		return 0;
	if (config.reach && !(data && filter(data, copy_frame(data, skb, config.reach), length)))
		return 0;
	e->head.queue = skb->queue_mapping ? skb->queue_mapping - 1 : 0;
	if (!tell(e, copy_frame(e->data, skb, config.snap), length))
		t->lost++;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

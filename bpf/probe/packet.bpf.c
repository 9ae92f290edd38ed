// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tells of each packet that leaves the chain, or of each that comes to it. It is attached to
 * the dispatcher, or to the program that stands in its place. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "trace.h"

#define SNAP 4096 /* bytes kept of a packet */

struct task_struct {
	void *stack;
} __attribute__((preserve_access_index));

const volatile struct {
	__u32 alone;    /* the traced program is the chain, and there are no step probes */
	__u32 verdicts; /* wanted final verdicts, bit n for verdict n, bit 5 for others */
	__u32 deciders; /* wanted places of the program that decides; bit 31: none did */
	__u32 sample;   /* one in so many of the wanted */
	__u32 tid;      /* only test runs of this thread; 0: all packets */
	__u32 programs; /* bit n: the chain has a program in slot n */
	__u64 pidns_dev, pidns_ino; /* the namespace that tid counts in */
	struct ingress ingress;
} config;

struct event {
	__u64 time; /* bpf_ktime_get_ns */
	__u32 final;
	__u32 seen;
	__u32 verdict[PROGRAMS];
	__u32 length;   /* of the packet */
	__u32 captured; /* bytes of it that follow */
	__u8 data[SNAP];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} events SEC(".maps");

/* The event of a test run. Who runs it waits for its end, and reads the event here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
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
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct told);
} told SEC(".maps");

/* Says whether the packet is that of the test run of the configured thread. Its struct
 * xdp_buff is on that thread's stack, and that of a packet which an interrupt brings
 * meanwhile is elsewhere. */
static __always_inline int mine(__u64 *ctx)
{
	__u64 packet; /* read as a number: the verifier lets nobody calculate with ctx[0] */
	struct bpf_pidns_info ns = {};
	struct task_struct *task = bpf_get_current_task_btf();

	if (bpf_probe_read_kernel(&packet, sizeof(packet), ctx))
		return 0;
	if (bpf_get_ns_current_pid_tgid(config.pidns_dev, config.pidns_ino, &ns, sizeof(ns)))
		return 0;
	return ns.pid == config.tid && packet - (__u64)task->stack < 64 << 10;
}

static __always_inline __u32 last_of(__u32 seen)
{
	__u32 last = 31;

	for (int i = 0; i < PROGRAMS; i++)
		if (seen & 1 << i)
			last = i;
	return last;
}

/* Finds the way of a packet that has left the chain. Returns 0 if it isn't known whole. */
static __always_inline int find_way(struct event *e, __u64 packet, __u32 final)
{
	struct way *w;
	__u32 last;

	if (config.alone) {
		e->seen = 1;
		e->verdict[0] = final;
		return gate_open();
	}
	w = way_at(0, packet) ?: way_at(1, packet);
	if (!w)
		return 0;
	e->seen = w->seen;
	__builtin_memcpy(e->verdict, w->verdict, sizeof(e->verdict));
	w->packet = 0;
	last = last_of(e->seen);
	/* The kernel may have left out a run of one of the probes. */
	return last < PROGRAMS && e->seen == (config.programs & ((2 << last) - 1));
}

/* Sends an event with the packet as it is now. */
static __always_inline void tell(struct event *e, struct told *t, struct xdp_buff *xdp)
{
	__u64 captured;

	e->time = bpf_ktime_get_ns();
	e->length = bpf_xdp_get_buff_len((void *)xdp);
	captured = xdp->data_end - xdp->data;
	if (captured > SNAP)
		captured = SNAP;
	barrier_var(captured); /* else clang takes the check apart, and the verifier can't follow */
	if (bpf_probe_read_kernel(e->data, captured, xdp->data))
		captured = 0;
	e->captured = captured;
	if (bpf_ringbuf_output(&events, e, __builtin_offsetof(struct event, data) + captured, 0))
		t->lost++;
}

SEC("fexit")
int packet(__u64 *ctx)
{
	struct xdp_buff *xdp = (void *)ctx[0];
	__u32 final = ctx[1], key = 0, decider;
	struct event *e = bpf_map_lookup_elem(&scratch, &key);
	struct told *t = bpf_map_lookup_elem(&told, &key);

	if (!e || !t || !came_in(ctx, &config.ingress))
		return 0;
	t->packets++;
	if (!find_way(e, ctx[0], final)) {
		t->missed++;
		return 0;
	}
	decider = last_of(e->seen);
	/* After its last program the dispatcher itself says XDP_PASS. */
	if (decider < PROGRAMS && e->verdict[decider] != final)
		decider = 31;
	if (config.tid && !mine(ctx))
		return 0;
	if (!(config.verdicts >> (final < 5 ? final : 5) & 1))
		return 0;
	if (!(config.deciders >> (decider & 31) & 1))
		return 0;
	if (config.sample > 1 && bpf_get_prandom_u32() % config.sample)
		return 0;
	e->final = final;
	if (config.tid) {
		/* The test run itself returns the packet and its length. */
		struct event *r = bpf_map_lookup_elem(&replayed, &key);

		if (r)
			__builtin_memcpy(r, e, __builtin_offsetof(struct event, length));
		return 0;
	}
	tell(e, t, xdp);
	return 0;
}

/* A packet as it comes to the chain. No program has seen it. */
SEC("fentry")
int arrival(__u64 *ctx)
{
	struct xdp_buff *xdp = (void *)ctx[0];
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
	e->seen = 0;
	tell(e, t, xdp);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

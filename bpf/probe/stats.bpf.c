// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts the verdicts of one program by the interface that a packet came in on and,
 * where asked for, the time the program takes.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "stats.h"
#include "ingress.h"

const volatile struct {
	__u32 bits;    /* the table of each CPU has 1 << bits entries */
	__u32 netns;   /* of the interfaces in it */
	__u32 untyped; /* see ingress.h */
} config;

/* What programs returned that is no verdict. It is rare. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct odd);
	__type(value, __u64);
} odds SEC(".maps");

/* Searches the entry of an interface that isn't the first one its index leads to, or has had
 * no packet yet. Returns 0 if there is none. */
static __noinline struct entry *search(struct net_device *dev, __u32 table, __u32 at)
{
	__u32 ifindex = ifindex_of(dev, config.untyped);

	for (int i = 0; i < NEAR; i++) {
		__u32 key = table | ((at + i) & ((1 << config.bits) - 1));
		struct entry *e = bpf_map_lookup_elem(&counts, &key);

		if (!e || e->ifindex != ifindex)
			continue;
		if (e->dev != (__u64)dev) {
			if (netns_of(dev, config.untyped) != config.netns)
				return 0;
			e->dev = (__u64)dev;
		}
		return e;
	}
	return 0;
}

/* The entry that a packet counts in. It is 0 if nobody wants the packet counted. */
static __always_inline struct entry *entry_of(__u64 *ctx, __u32 bits, int untyped)
{
	__u32 table = bpf_get_smp_processor_id() << bits;
	struct net_device *dev = ingress(ctx, untyped);
	__u32 ifindex = ifindex_of(dev, untyped);
	__u32 key = table | (ifindex & ((1 << bits) - 1));
	struct entry *e = bpf_map_lookup_elem(&counts, &key);

	if (e && e->dev == (__u64)dev)
		return e;
	return search(dev, table, ifindex);
}

static __noinline int count_odd(struct entry *e, __u32 v)
{
	struct odd key = {.place = e->place, .bits = v & 63};
	__u64 one = 1, *n = bpf_map_lookup_elem(&odds, &key);

	if (n)
		(*n)++;
	else
		bpf_map_update_elem(&odds, &key, &one, BPF_NOEXIST);
	return 0;
}

static __always_inline void add(struct entry *e, __u32 v)
{
	if (v < VERDICTS - 1) {
		e->verdict[v]++;
		return;
	}
	e->verdict[VERDICTS - 1]++;
	count_odd(e, v);
}

/* In all programs ctx[0] is the packet (struct xdp_buff *). ctx[1] is the verdict if the
 * traced program's argument is typed. */
SEC("fexit")
int count(__u64 *ctx)
{
	struct entry *e = entry_of(ctx, config.bits, config.untyped);

	if (e)
		add(e, verdict_of(ctx, config.untyped));
	return 0;
}

/* The same for tables of the usual sizes and a typed argument. The compiler knows them,
 * which makes it a quarter faster. */
SEC("fexit")
int count_few(__u64 *ctx)
{
	struct entry *e = entry_of(ctx, FEW, 0);

	if (e)
		add(e, ctx[1]);
	return 0;
}

SEC("fexit")
int count_many(__u64 *ctx)
{
	struct entry *e = entry_of(ctx, MANY, 0);

	if (e)
		add(e, ctx[1]);
	return 0;
}

static __always_inline int end_run(__u64 *ctx, struct entry *e, __u32 verdict, __u64 now)
{
	if (!e)
		return 0;
	add(e, verdict);
	return time_run(ctx, e->place, now);
}

/* The same where time is asked for: enter of stats.h has begun the run. */
SEC("fexit")
int leave(__u64 *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	return end_run(ctx, entry_of(ctx, config.bits, config.untyped), verdict_of(ctx, config.untyped), now);
}

SEC("fexit")
int leave_few(__u64 *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	return end_run(ctx, entry_of(ctx, FEW, 0), ctx[1], now);
}

SEC("fexit")
int leave_many(__u64 *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	return end_run(ctx, entry_of(ctx, MANY, 0), ctx[1], now);
}

char _license[] SEC("license") = "Dual BSD/GPL";

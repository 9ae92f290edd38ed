// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts the verdicts of one program and, where asked for, the time it takes.
 *
 * One copy is loaded for each observed program. The kernel doesn't run a tracing
 * program while the same one runs on that CPU (it counts a miss), so that plain
 * increments are exact.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "counts.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} counts SEC(".maps");

const volatile struct {
	__u32 actions; /* chain call actions, bit n for verdict n */
} config;

static __always_inline struct counts *mine(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&counts, &key);
}

/* The bucket of a duration: its highest bit and the three below. */
static __u32 bucket_of(__u64 ns)
{
	__u32 v = ns > 0xffffffff ? 0xffffffff : ns;
	__u32 high = 0;

	for (int shift = 16; shift; shift >>= 1) {
		if (v >> (high + shift))
			high += shift;
	}
	if (high < OCTAVE_BITS)
		return v;
	return high << OCTAVE_BITS | (v >> (high - OCTAVE_BITS) & ((1 << OCTAVE_BITS) - 1));
}

static __always_inline void add(struct counts *c, __u32 v)
{
	if (v < VERDICTS - 1) {
		c->verdict[v]++;
		return;
	}
	c->verdict[VERDICTS - 1]++;
	/* The dispatcher shifts by the verdict, of which a CPU takes 5 bits. */
	c->other_on += config.actions >> (v & 31) & 1;
}

/* In all programs ctx[0] is the packet (struct xdp_buff *), ctx[1] the verdict. */
SEC("fexit")
int count(__u64 *ctx)
{
	struct counts *c = mine();

	if (c)
		add(c, ctx[1]);
	return 0;
}

/* Or these two, where time is asked for. */
SEC("fentry")
int enter(__u64 *ctx)
{
	struct counts *c = mine();

	if (!c)
		return 0;
	c->packet = ctx[0];
	c->since = bpf_ktime_get_ns();
	return 0;
}

SEC("fexit")
int leave(__u64 *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	struct counts *c = mine();

	if (!c)
		return 0;
	add(c, ctx[1]);
	/* Another packet here means that an interrupt ran the program once more
	 * inside this run: counted, but not timed. */
	if (c->packet != ctx[0])
		return 0;
	c->packet = 0;
	now -= c->since;
	c->timed++;
	c->total_ns += now;
	if (now > c->max_ns)
		c->max_ns = now;
	__u32 b = bucket_of(now);
	if (b < BUCKETS)
		c->bucket[b]++;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

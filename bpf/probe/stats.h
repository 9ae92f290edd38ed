/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stats.bpf.c and whole.bpf.c count. dispatcher/observe reads the same structures.
 *
 * Plain increments are exact. Each observed program has a probe of its own, and the kernel
 * doesn't run a tracing program while the same one runs on that CPU: it counts a miss.
 */
#ifndef XDPMUX_PROBE_STATS_H
#define XDPMUX_PROBE_STATS_H

#define VERDICTS 6 /* XDP_ABORTED to XDP_REDIRECT, then all others */

/* What is counted of one interface on one CPU. It fills a cache line. */
struct entry {
	__u64 verdict[VERDICTS];
	__u64 dev;     /* the interface's struct net_device; 0 until one of its packets comes */
	__u32 ifindex; /* 0: the entry is closed, nothing is counted in it */
	__u32 place;   /* of the entry in the CPU's table */
};

/* The table of a CPU has 1 << bits entries. The index of an interface leads to NEAR of
 * them, and one of these is the interface's. */
#define NEAR 4
#define FEW 6 /* bits of usual tables */
#define MANY 10

/* What a program returned that is no verdict. Its lowest six bits are enough: a dispatcher
 * shifts by them. */
struct odd {
	__u32 place; /* of the entry in the CPU's table */
	__u32 bits;
};

#define OCTAVE_BITS 3 /* each power of two is split into 8 buckets: 12.5 % wide */
#define OCTAVES 32    /* up to 2^32 ns, 4 s */
#define BUCKETS (OCTAVES << OCTAVE_BITS)

/* The times of one interface on one CPU. */
struct times {
	__u64 timed; /* packets whose time was taken */
	__u64 total_ns;
	__u64 max_ns;
	__u64 bucket[BUCKETS];
};

/* The tables of all CPUs. dispatcher/observe opens and closes the entries, in memory that it
 * shares. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct entry);
} counts SEC(".maps");

/* The key is the place of the interface's entry in the table. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct times);
} times SEC(".maps");

/* The packet that is in the program, and since when. */
struct run {
	__u64 packet;
	__u64 since;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct run);
} runs SEC(".maps");

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

static __always_inline struct run *this_run(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&runs, &key);
}

/* Begins a run, where time is asked for. */
SEC("fentry")
int enter(__u64 *ctx)
{
	struct run *r = this_run();

	if (!r)
		return 0;
	r->packet = ctx[0];
	r->since = bpf_ktime_get_ns();
	return 0;
}

/* Ends a run. place is that of the interface's entry in the table. */
static __always_inline int time_run(__u64 *ctx, __u32 place, __u64 now)
{
	struct run *r = this_run();
	struct times *t;
	__u32 b;

	if (!r)
		return 0;
	/* An interrupt has run the program once more inside this run. This one is
	 * counted, but not timed. */
	if (r->packet != ctx[0])
		return 0;
	r->packet = 0;
	now -= r->since;
	t = bpf_map_lookup_elem(&times, &place);
	if (!t)
		return 0;
	t->timed++;
	t->total_ns += now;
	if (now > t->max_ns)
		t->max_ns = now;
	b = bucket_of(now);
	if (b < BUCKETS)
		t->bucket[b]++;
	return 0;
}

#endif

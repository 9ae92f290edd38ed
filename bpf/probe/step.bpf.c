// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Notes the verdict of one component program and, where points are asked for, the packet as it
 * came and as it left. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "trace.h"

const volatile struct {
	__u32 slot;   /* place of the program in the chain */
	__u32 first;  /* 1: the program is the first that packets meet */
	__u32 snap;   /* bytes wanted of a packet */
	__u32 points; /* 1: they are asked for, and enter is attached too */
	__u32 reach;  /* bytes that the filter looks at, at each point; 0: there is none */
	__u32 reserved;
	struct replay replay;
	struct ingress ingress;
} config;

/* Is attached only where points are asked for. */
SEC("fentry")
int enter(__u64 *ctx)
{
	__u32 slot = config.slot;
	struct way *w;

	if (!came_in(ctx, &config.ingress) || slot >= PROGRAMS)
		return 0;
	if (config.replay.tid && !mine(ctx, &config.replay))
		return 0;
	if (config.first)
		w = gate_open() ? begin_way(ctx[0], &config.replay) : 0;
	else
		w = way_of(ctx[0]);
	if (!w)
		return 0;
	w->entered |= 1 << slot;
	add_point(w, ctx, slot, 0, config.snap, config.reach, config.ingress.untyped);
	return 0;
}

SEC("fexit")
int step(__u64 *ctx)
{
	__u32 slot = config.slot;
	struct way *w;

	if (!came_in(ctx, &config.ingress) || slot >= PROGRAMS)
		return 0;
	if (config.first && !config.points)
		w = gate_open() ? begin_way(ctx[0], &config.replay) : 0;
	else
		w = way_of(ctx[0]);
	if (!w)
		return 0;
	if (config.points) {
		/* The kernel may have left out a run of enter. Then the way is another packet's
		 * that never came to its end. */
		if (!(w->entered & 1 << slot) || w->seen & 1 << slot) {
			w->packet = 0;
			return 0;
		}
		add_point(w, ctx, slot, 1, config.snap, config.reach, config.ingress.untyped);
	}
	w->verdict[slot] = verdict_of(ctx, config.ingress.untyped);
	w->seen |= 1 << slot;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

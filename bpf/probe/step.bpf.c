// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Notes the verdict of one component program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "trace.h"

const volatile struct {
	__u32 slot;  /* place of the program in the chain */
	__u32 first; /* 1: the program is the first that packets meet */
	struct ingress ingress;
} config;

/* ctx[0] is the packet (struct xdp_buff *). */
SEC("fexit")
int step(__u64 *ctx)
{
	__u64 packet = ctx[0];
	__u32 slot = config.slot, key = 0;
	struct way *w;

	if (!came_in(ctx, &config.ingress))
		return 0;
	w = way_at(0, packet) ?: way_at(1, packet);
	if (config.first) {
		if (!gate_open())
			return 0;
		/* The packet's way begins here, in a free place. Without one it takes
		 * the first: the way there never came to its end. */
		if (!w)
			w = way_at(0, 0) ?: way_at(1, 0) ?: bpf_map_lookup_elem(&ways, &key);
		if (!w)
			return 0;
		w->packet = packet;
		w->seen = 0;
	}
	if (w && slot < PROGRAMS) {
		w->verdict[slot] = verdict_of(ctx, config.ingress.untyped);
		w->seen |= 1 << slot;
	}
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

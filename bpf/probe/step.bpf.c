// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Notes the verdict of one component program. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "trace.h"

const volatile struct {
	__u32 slot; /* place of the program in the chain */
} config;

/* ctx[0] is the packet (struct xdp_buff *), ctx[1] the verdict. */
SEC("fexit")
int step(__u64 *ctx)
{
	__u64 packet = ctx[0];
	__u32 slot = config.slot, first = 0;
	struct way *w = way_at(0, packet) ?: way_at(1, packet);

	if (slot == 0 || !w) {
		/* A packet begins, in a free place, or in the first one: what stands
		 * there has lost its end. */
		if (!w)
			w = way_at(0, 0) ?: way_at(1, 0) ?: bpf_map_lookup_elem(&ways, &first);
		if (!w)
			return 0;
		w->packet = packet;
		w->seen = 0;
	}
	if (slot < PROGRAMS) {
		w->verdict[slot] = ctx[1];
		w->seen |= 1 << slot;
	}
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts what leaves a dispatcher and, where asked for, the time it takes. A dispatcher
 * belongs to one interface: the tables have one entry.
 *
 * It is an object of its own because there is a new dispatcher after each swap, and libbpf
 * takes long to find the kernel's structures that stats.bpf.c reads.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "stats.h"

static __always_inline struct entry *add(__u32 v)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct entry *e = bpf_map_lookup_elem(&counts, &cpu);
	__u64 at;

	if (!e || !e->ifindex)
		return 0;
	at = v < VERDICTS - 1 ? v : VERDICTS - 1;
	barrier_var(at); /* else clang calculates with v first, for which the verifier knows no limit */
	e->verdict[at]++;
	return e;
}

/* ctx[1] is the verdict. */
SEC("fexit")
int count(__u64 *ctx)
{
	add(ctx[1]);
	return 0;
}

SEC("fexit")
int leave(__u64 *ctx)
{
	__u64 now = bpf_ktime_get_ns();

	return add(ctx[1]) ? time_run(ctx, 0, now) : 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

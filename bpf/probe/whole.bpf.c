// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts what leaves a dispatcher and, where asked for, the time it takes. A dispatcher
 * belongs to one interface, so that the tables have one entry.
 *
 * An object of its own, as it reads none of the kernel's structures: libbpf takes long
 * to find where those are, and there is a new dispatcher after each swap.
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
	barrier_var(at); /* or clang calculates with v first, which the verifier has no limit for */
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

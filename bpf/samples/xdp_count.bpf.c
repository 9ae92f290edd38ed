// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts all packets and lets the chain go on.
 *
 * It teaches two things. In a per-CPU map each CPU counts in a value of its own, so
 * it needs no atomic operation. And every verdict is among the chain call actions,
 * so whatever this program returns, the next program of the chain runs. At priority
 * 5 it sees packets before a filter drops them.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

struct {
	__uint(priority, 5);
	__uint(XDP_ABORTED, 1);
	__uint(XDP_DROP, 1);
	__uint(XDP_PASS, 1);
	__uint(XDP_TX, 1);
	__uint(XDP_REDIRECT, 1);
} XDP_RUN_CONFIG(xdp_count);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

SEC("xdp")
int xdp_count(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&packets, &key);

	if (count)
		(*count)++;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";

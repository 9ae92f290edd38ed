// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Drops packets that are longer than a limit, and counts the others by their length.
 *
 * It teaches what a loader can set before the load: constants (const volatile), of which
 * the verifier knows the values, global variables, and the size of a map. A Go program
 * does it with Variables and MapSizes of xdp.Program.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 max_length = 1500; /* bytes */
const volatile __u32 step = 64;         /* bytes, of one entry of lengths */

__u64 dropped;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 24);
	__type(key, __u32);
	__type(value, __u64);
} lengths SEC(".maps");

SEC("xdp")
int xdp_length(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;
	__u32 key = length / step;
	__u64 *count;

	if (length > max_length) {
		__sync_fetch_and_add(&dropped, 1);
		return XDP_DROP;
	}
	count = bpf_map_lookup_elem(&lengths, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";

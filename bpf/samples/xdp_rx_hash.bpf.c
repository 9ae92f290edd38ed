// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts the packets that the network card has hashed, and keeps the last hash.
 *
 * It teaches to ask the driver for what it knows of a packet and the packet doesn't hold: here
 * the hash by which the card chose the queue, so that nobody has to compute one again. A program
 * that asks is bound to its device. xdpmux sees from the object that it asks, and binds the chain.
 * A driver may lack a function: then it returns -EOPNOTSUPP, and for a packet without a hash
 * -ENODATA. As the function is weak, the program also loads on kernels before 6.3, which don't
 * have it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum xdp_rss_hash_type {
	XDP_RSS_TYPE_NONE = 0, /* the kernel's has more; their bits say what was hashed */
};

extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, __u32 *hash,
				    enum xdp_rss_hash_type *rss_type) __ksym __weak;

struct seen {
	__u64 packets;
	__u64 hashed; /* of them */
	__u32 last_hash;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct seen);
} hashes SEC(".maps");

SEC("xdp")
int xdp_rx_hash(struct xdp_md *ctx)
{
	enum xdp_rss_hash_type type;
	struct seen *seen;
	__u32 hash, key = 0;

	seen = bpf_map_lookup_elem(&hashes, &key);
	if (!seen)
		return XDP_PASS;
	__sync_fetch_and_add(&seen->packets, 1);
	if (bpf_xdp_metadata_rx_hash && bpf_xdp_metadata_rx_hash(ctx, &hash, &type) == 0) {
		__sync_fetch_and_add(&seen->hashed, 1);
		seen->last_hash = hash;
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";

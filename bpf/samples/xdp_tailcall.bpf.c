// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Drops packets that no router would forward, as their hops are used up: a program for each
 * protocol, called by a tail call.
 *
 * It teaches that such programs join a chain as any other. The first program of the file that
 * no array calls is the component; xdpmux loads the others with it and puts them where the
 * array's initializer says. A verdict of theirs is that of the component. A call of an empty
 * slot does nothing: here the packet then passes.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

int on_ipv4(struct xdp_md *ctx);
int on_ipv6(struct xdp_md *ctx);

enum { IPV4, IPV6 };

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} protocols SEC(".maps") = {
	.values = {
		[IPV4] = (void *)&on_ipv4,
		[IPV6] = (void *)&on_ipv6,
	},
};

SEC("xdp")
int on_ipv4(struct xdp_md *ctx)
{
	struct iphdr *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	return ip->ttl > 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int on_ipv6(struct xdp_md *ctx)
{
	struct ipv6hdr *ip = (void *)(long)ctx->data + sizeof(struct ethhdr);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	return ip->hop_limit > 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int xdp_tailcall(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		bpf_tail_call(ctx, &protocols, IPV4);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		bpf_tail_call(ctx, &protocols, IPV6);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Drops IPv6 packets and passes all others.
 *
 * It teaches to read a packet: the verifier accepts an access only behind a check
 * that the packet reaches that far. As a filter it wants to run early, hence the
 * priority of 10.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

struct {
	__uint(priority, 10);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(xdp_drop_ipv6);

SEC("xdp")
int xdp_drop_ipv6(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	return eth->h_proto == bpf_htons(ETH_P_IPV6) ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";

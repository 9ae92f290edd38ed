// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Drops every packet before the network stack sees it.
 *
 * It teaches the effect of a verdict, and of order: programs behind it in the chain
 * never see a packet, unless XDP_DROP is among this program's chain call actions
 * (load -A XDP_DROP). Don't try it on the interface that you are logged in through.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";

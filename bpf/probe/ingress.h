/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a probe reads a packet, and finds the interface that it came in on. ctx[0] is the packet
 * (struct xdp_buff *).
 */
#ifndef XDPMUX_PROBE_INGRESS_H
#define XDPMUX_PROBE_INGRESS_H

#include <bpf/bpf_core_read.h>

/* The members of the kernel's structures that probes read. libbpf finds where they are. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct xdp_rxq_info {
	struct net_device *dev;
	__u32 queue_index;
};

struct xdp_buff {
	void *data;
	void *data_end;
	struct xdp_rxq_info *rxq;
};

#pragma clang attribute pop

/* A traced program may declare its argument as something else than a struct xdp_md *. Then
 * ctx[0] is a mere number to the verifier, and only a helper can read through it. The kernel
 * takes such a program for one of five arguments, behind which the verdict is. */
static __always_inline struct net_device *ingress(__u64 *ctx, int untyped)
{
	struct xdp_buff *xdp = (void *)ctx[0];

	return untyped ? BPF_CORE_READ(xdp, rxq, dev) : xdp->rxq->dev;
}

static __always_inline __u32 ifindex_of(struct net_device *dev, int untyped)
{
	return untyped ? BPF_CORE_READ(dev, ifindex) : dev->ifindex;
}

/* The inode of the interface's network namespace. An index is unique only together with
 * it. */
static __always_inline __u32 netns_of(struct net_device *dev, int untyped)
{
	return untyped ? BPF_CORE_READ(dev, nd_net.net, ns.inum) : dev->nd_net.net->ns.inum;
}

static __always_inline __u32 queue_of(__u64 *ctx, int untyped)
{
	struct xdp_buff *xdp = (void *)ctx[0];

	return untyped ? BPF_CORE_READ(xdp, rxq, queue_index) : xdp->rxq->queue_index;
}

static __always_inline void *packet_start(__u64 *ctx, int untyped)
{
	struct xdp_buff *xdp = (void *)ctx[0];

	return untyped ? BPF_CORE_READ(xdp, data) : xdp->data;
}

static __always_inline void *packet_end(__u64 *ctx, int untyped)
{
	struct xdp_buff *xdp = (void *)ctx[0];

	return untyped ? BPF_CORE_READ(xdp, data_end) : xdp->data_end;
}

/* The packet's length. Through an untyped argument nobody sees more than its first buffer. */
static __always_inline __u32 length_of(__u64 *ctx, int untyped)
{
	return untyped ? packet_end(ctx, untyped) - packet_start(ctx, untyped) : bpf_xdp_get_buff_len((void *)ctx[0]);
}

static __always_inline __u32 verdict_of(__u64 *ctx, int untyped)
{
	__u64 ret = ctx[1];

	barrier_var(ret); /* else clang calculates the address, and the verifier allows no such read */
	if (untyped)
		bpf_get_func_ret(ctx, &ret);
	return ret;
}

#endif

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Gives the packets of a queue to the AF_XDP socket that is bound to it.
 *
 * It teaches a redirect through an XSKMAP. User space enters a socket at the number of its
 * queue; when the socket is closed, the kernel takes it out. Packets of a queue without a
 * socket pass, so the program does no harm if whoever loaded it is killed.
 *
 * A redirect ends the chain. The priority is that of libxdp's own program for sockets:
 * filters come before it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

struct {
	__uint(priority, 20);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(xdp_socket);

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64); /* queues */
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

SEC("xdp")
int xdp_socket(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual BSD/GPL";

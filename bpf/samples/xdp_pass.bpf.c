// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The smallest XDP program: it lets every packet go on to the network stack.
 *
 * It teaches what a program consists of: a function in a section whose name
 * libbpf knows, a verdict, a license, and the run configuration that says where
 * in a chain it wants to run unless the loader is told otherwise. 50 is also what
 * a program without a configuration gets.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

struct {
	__uint(priority, 50);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(xdp_pass);

SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";

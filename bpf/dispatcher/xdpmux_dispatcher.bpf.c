//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A dispatcher of libxdp's protocol, of version VERSION: 2 or 3. It is compiled for
 * each, so that xdpmux can write both, whichever libxdp is installed.
 *
 * Its functions may be replaced by programs that change packet data: that move the
 * packet's head or tail, for instance. From Linux 6.12 on, the kernel lets such a program
 * replace a function only if that function might change packet data too. The functions of
 * libxdp's dispatcher before 1.5.5 never do. Here each holds a call that changes packet
 * data. It is never made: a function that is on an interface has been replaced.
 *
 * Name, configuration and version are those of libxdp, so that libxdp takes it for one
 * of its own. The layout is part of the protocol, and libxdp's header has only that of
 * the installed version: hence it is here.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAX_PROGRAMS 10

/* What a function returns that no program has replaced. This bit is set in all chain
 * call actions, so that the next program runs. */
#define CONTINUE 31

struct xdp_dispatcher_config {
	__u8 magic;
	__u8 dispatcher_version;
	__u8 num_progs_enabled;
	__u8 is_xdp_frags;
	__u32 chain_call_actions[MAX_PROGRAMS];
	__u32 run_prios[MAX_PROGRAMS];
	__u32 program_flags[MAX_PROGRAMS];
#if VERSION >= 3
	__u8 is_xdp_devbound;
#endif
};

/* xdpmux writes it before the load. The verifier knows what is constant, and leaves out the
 * calls behind the last program. The compiler doesn't know what is volatile. */
static volatile const struct xdp_dispatcher_config config = {};

#define SLOT(n)                                              \
	__attribute__((noinline)) int prog##n(struct xdp_md *ctx) \
	{                                                    \
		volatile int verdict = CONTINUE;             \
                                                             \
		if (!ctx)                                    \
			return XDP_ABORTED;                  \
		if (verdict != CONTINUE)                     \
			bpf_xdp_adjust_head(ctx, 0);         \
		return verdict;                              \
	}

SLOT(0)
SLOT(1)
SLOT(2)
SLOT(3)
SLOT(4)
SLOT(5)
SLOT(6)
SLOT(7)
SLOT(8)
SLOT(9)

#define RUN(n)                                                        \
	if (count <= n)                                               \
		return XDP_PASS;                                      \
	verdict = prog##n(ctx);                                       \
	if (!(config.chain_call_actions[n] & (1U << verdict)))        \
		return verdict;

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	__u8 count = config.num_progs_enabled;
	int verdict;

	RUN(0)
	RUN(1)
	RUN(2)
	RUN(3)
	RUN(4)
	RUN(5)
	RUN(6)
	RUN(7)
	RUN(8)
	RUN(9)
	return XDP_PASS;
}

/* xdpmux puts it in the place of a function to try whether the kernel lets it. */
SEC("xdp")
int xdp_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* Where libxdp looks for the version, by the type. */
__uint(dispatcher_version, VERSION) SEC("xdp_metadata");

char _license[] SEC("license") = "Dual BSD/GPL";

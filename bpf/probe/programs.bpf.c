// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tells the ids of all programs of the kernel, to a process that may not ask for them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The kernel's structures, as far as they are read. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_prog_aux {
	__u32 id;
};

struct bpf_prog {
	struct bpf_prog_aux *aux;
};

struct bpf_iter__bpf_prog {
	struct bpf_iter_meta *meta;
	struct bpf_prog *prog; /* NULL: there are no more */
};
#pragma clang attribute pop

SEC("iter/bpf_prog")
int programs(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *prog = ctx->prog;
	__u32 id;

	if (!prog)
		return 0;
	id = prog->aux->id;
	bpf_seq_write(ctx->meta->seq, &id, sizeof(id));
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";

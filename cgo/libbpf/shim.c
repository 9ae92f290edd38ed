/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "shim.h"
#include "_cgo_export.h"

/* The least important level that is wanted; -1: none. It is kept here so that a message
 * which nobody wants costs no formatting and no call into Go. */
static int wanted = -1;

void xm_libbpf_set_level(int level) { __atomic_store_n(&wanted, level, __ATOMIC_RELAXED); }

static int print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char line[1024], *text = line;
	va_list again;
	int len;

	if ((int)level > __atomic_load_n(&wanted, __ATOMIC_RELAXED))
		return 0;
	va_copy(again, ap);
	len = vsnprintf(line, sizeof(line), fmt, ap);
	if (len >= (int)sizeof(line)) { /* a verifier log, for one, is longer */
		char *big = malloc(len + 1);

		if (big) {
			vsnprintf(big, len + 1, fmt, again);
			text = big;
		}
	}
	va_end(again);
	xdpmuxLibbpfLog(level, text);
	if (text != line)
		free(text);
	return len;
}

void xm_libbpf_hook(void) { libbpf_set_print(print); }

static int record(void *handle, void *data, size_t size)
{
	xdpmuxRingRecord((uintptr_t)handle, data, size);
	return 0;
}

struct ring_buffer *xm_ring_buffer_new(int fd, uintptr_t handle)
{
	return ring_buffer__new(fd, record, (void *)handle, NULL);
}

int xm_ring_buffer_add(struct ring_buffer *ring, int fd, uintptr_t handle)
{
	return ring_buffer__add(ring, fd, record, (void *)handle);
}

/* The targets of the load that this thread is in. */
static __thread struct xm_target *targets;
static __thread int target_count;

/* libbpf calls this right before it loads a program. It does what libbpf's own handlers do for
 * these sections, unless the program has a target. */
static int prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long flags)
{
	for (int i = 0; i < target_count; i++) {
		struct xm_target *t = &targets[i];

		if (t->prog != prog)
			continue;
		t->taken = 1;
		opts->expected_attach_type = t->attach;
		opts->attach_prog_fd = t->fd;
		opts->attach_btf_id = t->btf_id;
		/* Before the load, newer versions of libbpf would drop this handler for that. */
		return bpf_program__set_type(prog, t->type);
	}
	if (bpf_program__type(prog) == BPF_PROG_TYPE_XDP)
		opts->prog_flags |= flags;
	return 0;
}

int xm_register_handlers(void)
{
	static const struct {
		const char *section; /* NULL: any that libbpf doesn't know */
		enum bpf_prog_type type;
		enum bpf_attach_type attach;
		long flags;
	} all[] = {
		{ NULL, BPF_PROG_TYPE_UNSPEC, 0, 0 },
		{ "xdp", BPF_PROG_TYPE_XDP, BPF_XDP, 0 },
		{ "xdp/devmap", BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, 0 },
		{ "xdp/cpumap", BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP, 0 },
		{ "xdp.frags", BPF_PROG_TYPE_XDP, BPF_XDP, BPF_F_XDP_HAS_FRAGS },
		{ "xdp.frags/devmap", BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, BPF_F_XDP_HAS_FRAGS },
		{ "xdp.frags/cpumap", BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP, BPF_F_XDP_HAS_FRAGS },
		{ "fentry", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, 0 },
		{ "fexit", BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, 0 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .cookie = all[i].flags,
			    .prog_prepare_load_fn = prepare);
		int id = libbpf_register_prog_handler(all[i].section, all[i].type,
						      all[i].attach, &opts);

		if (id < 0)
			return id;
	}
	return 0;
}

/* Returns -EOPNOTSUPP if libbpf has dropped the handler of a program that has a target. */
int xm_object_load(struct bpf_object *obj, struct xm_target *wanted, int count)
{
	int err;

	targets = wanted;
	target_count = count;
	err = bpf_object__load(obj);
	target_count = 0;
	for (int i = 0; !err && i < count; i++) {
		if (!wanted[i].taken)
			return -EOPNOTSUPP;
	}
	return err;
}

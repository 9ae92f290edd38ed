/* SPDX-License-Identifier: BSD-2-Clause */
/* What Go can't say itself: option structs, whose size depends on the version of libbpf,
 * callbacks, bit fields and unions. */
#ifndef XDPMUX_LIBBPF_SHIM_H
#define XDPMUX_LIBBPF_SHIM_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define XM_LIBBPF_AT_LEAST(major, minor)      \
	(LIBBPF_MAJOR_VERSION > (major) ||    \
	 (LIBBPF_MAJOR_VERSION == (major) && LIBBPF_MINOR_VERSION >= (minor)))

void xm_libbpf_hook(void);
void xm_libbpf_set_level(int level);
struct ring_buffer *xm_ring_buffer_new(int fd, uintptr_t handle);
int xm_ring_buffer_add(struct ring_buffer *ring, int fd, uintptr_t handle);

/* What a program of an object replaces or traces. */
struct xm_target {
	struct bpf_program *prog;
	__u32 type, attach; /* what it is loaded as */
	int fd;             /* the program that is loaded already */
	__u32 btf_id;       /* of the function in that */
	int taken;          /* by the load of prog */
};
int xm_register_handlers(void);
int xm_object_load(struct bpf_object *obj, struct xm_target *targets, int count);

static inline struct bpf_object *xm_object_open_file(const char *path, const char *name,
						     const char *pin_root, const char *btf,
						     char *log, size_t log_size)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name, .pin_root_path = pin_root,
		    .btf_custom_path = btf, .kernel_log_buf = log, .kernel_log_size = log_size);

	return bpf_object__open_file(path, &opts);
}

static inline struct bpf_object *xm_object_open_mem(const void *data, size_t size,
						    const char *name, const char *pin_root,
						    const char *btf, char *log, size_t log_size)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = name, .pin_root_path = pin_root,
		    .btf_custom_path = btf, .kernel_log_buf = log, .kernel_log_size = log_size);

	return bpf_object__open_mem(data, size, &opts);
}

static inline int xm_obj_get(const char *path, __u32 flags)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = flags);

	return bpf_obj_get_opts(path, &opts);
}

static inline int xm_link_create(int prog_fd, int target_fd, int attach_type, __u32 flags,
				 __u32 target_btf_id)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags, .target_btf_id = target_btf_id);

	return bpf_link_create(prog_fd, target_fd, attach_type, &opts);
}

static inline int xm_link_update(int link_fd, int prog_fd, __u32 flags, __u32 old_prog_fd)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = flags, .old_prog_fd = old_prog_fd);

	return bpf_link_update(link_fd, prog_fd, &opts);
}

static inline int xm_map_create(int type, const char *name, __u32 key, __u32 value, __u32 max,
				__u32 flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return bpf_map_create(type, name, key, value, max, &opts);
}

static inline int xm_map_of_maps_create(const char *name, int inner_fd, __u32 max)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = inner_fd);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, name, 4, 4, max, &opts);
}

static inline int xm_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values,
				      __u32 *count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	return bpf_map_lookup_batch(fd, in, out, keys, values, count, &opts);
}

static inline int xm_map_lookup_and_delete_batch(int fd, void *in, void *out, void *keys,
						 void *values, __u32 *count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	return bpf_map_lookup_and_delete_batch(fd, in, out, keys, values, count, &opts);
}

static inline int xm_map_update_batch(int fd, const void *keys, const void *values, __u32 *count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	return bpf_map_update_batch(fd, keys, values, count, &opts);
}

static inline int xm_map_delete_batch(int fd, const void *keys, __u32 *count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	return bpf_map_delete_batch(fd, keys, count, &opts);
}

/* The numbers of struct bpf_test_run_opts, in one piece of Go's memory. The buffers are
 * arguments: Go's memory may not point to Go's memory. */
struct xm_test_run {
	__u32 in_size, out_size, ctx_in_size, ctx_out_size;
	__u32 repeat, flags, batch;
	__u32 retval, duration;
};

static inline int xm_prog_test_run(int fd, struct xm_test_run *run, const void *in, void *out,
				   const void *ctx_in, void *ctx_out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = run->in_size,
		    .data_out = out, .data_size_out = run->out_size, .ctx_in = ctx_in,
		    .ctx_size_in = run->ctx_in_size, .ctx_out = ctx_out,
		    .ctx_size_out = run->ctx_out_size, .repeat = run->repeat,
		    .flags = run->flags, .batch_size = run->batch);
	int err = bpf_prog_test_run_opts(fd, &opts);

	run->out_size = opts.data_size_out;
	run->ctx_out_size = opts.ctx_size_out;
	run->retval = opts.retval;
	run->duration = opts.duration;
	return err;
}

static inline int xm_xdp_query(int ifindex, struct bpf_xdp_query_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->sz = sizeof(*opts);
	return bpf_xdp_query(ifindex, 0, opts);
}

static inline int xm_xdp_attach(int ifindex, int prog_fd, __u32 flags, int old_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = old_fd);

	return bpf_xdp_attach(ifindex, prog_fd, flags, old_fd >= 0 ? &opts : NULL);
}

/* Returns -EOPNOTSUPP if this libbpf has no such fields. */
static inline int xm_xdp_features(int ifindex, __u64 *features, __u32 *zc_max_segs)
{
#if XM_LIBBPF_AT_LEAST(1, 2)
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	int err = bpf_xdp_query(ifindex, 0, &opts);

	*features = opts.feature_flags;
#if XM_LIBBPF_AT_LEAST(1, 3)
	*zc_max_segs = opts.xdp_zc_max_segs;
#endif
	return err;
#else
	return -EOPNOTSUPP;
#endif
}

static inline int xm_has_xdp_features(void) { return XM_LIBBPF_AT_LEAST(1, 2); }

/* cgo neither knows bit fields nor copies them. */
static inline void xm_set_insn(struct bpf_insn *insn, __u8 code, __u8 dst, __u8 src, __s16 off,
			       __s32 imm)
{
	insn->code = code;
	insn->dst_reg = dst;
	insn->src_reg = src;
	insn->off = off;
	insn->imm = imm;
}

/* The info structs hold unions, which cgo shows as bytes. */
static inline __u32 xm_link_xdp_ifindex(const struct bpf_link_info *i) { return i->xdp.ifindex; }
static inline __u32 xm_link_target_obj(const struct bpf_link_info *i)
{
	return i->tracing.target_obj_id;
}
static inline __u32 xm_link_target_btf(const struct bpf_link_info *i)
{
	return i->tracing.target_btf_id;
}
static inline __u32 xm_link_attach_type(const struct bpf_link_info *i)
{
	return i->tracing.attach_type;
}

static inline int xm_prog_gpl(const struct bpf_prog_info *i) { return i->gpl_compatible; }
/* So does struct btf_type. */
static inline __u32 xm_btf_size(const struct btf_type *t) { return t->size; }
static inline __u32 xm_btf_ref(const struct btf_type *t) { return t->type; }

#endif

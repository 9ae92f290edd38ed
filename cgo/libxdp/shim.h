/* SPDX-License-Identifier: BSD-2-Clause */
/* Each call that returns a pointer has a shim, which turns the pointer into an error where
 * it is one. Most failed calls return neither NULL nor errno, but an error pointer. A getter
 * that finds nothing returns NULL, and that is no error. */
#ifndef XDPMUX_LIBXDP_SHIM_H
#define XDPMUX_LIBXDP_SHIM_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

void xm_libxdp_hook(void);
void xm_libxdp_set_level(int level);

/* An error pointer is one of the last 4095 addresses. libxdp_get_error() isn't asked about
 * NULL: it answers with whatever errno was left. */
static inline void *xm_ptr(void *ptr, int *err)
{
	if (!ptr) {
		*err = -ENOENT;
		return NULL;
	}
	if ((unsigned long)ptr < (unsigned long)-4095L) {
		*err = 0;
		return ptr;
	}
	*err = (int)libxdp_get_error(ptr);
	return NULL;
}

/* The newer calls return NULL and set errno instead. C evaluates ptr, which is the call,
 * before this function begins: errno is that of the call. */
static inline void *xm_ptr_errno(void *ptr, int *err)
{
	int failure = errno;

	if (ptr)
		return xm_ptr(ptr, err);
	*err = failure ? -failure : -EINVAL;
	return NULL;
}

static inline struct xdp_program *xm_open_file(const char *path, const char *section,
					       const char *pin_root, int *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = pin_root);

	return xm_ptr(xdp_program__open_file(path, section, &opts), err);
}

static inline struct xdp_program *xm_find_file(const char *name, const char *section,
					       const char *pin_root, int *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = pin_root);

	return xm_ptr(xdp_program__find_file(name, section, &opts), err);
}

static inline struct xdp_program *xm_create(struct bpf_object *obj, const char *prog, int *err)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .obj = obj, .prog_name = prog);

	return xm_ptr_errno(xdp_program__create(&opts), err);
}

static inline struct xdp_program *xm_from_obj(struct bpf_object *obj, const char *section,
					      int *err)
{
	return xm_ptr(xdp_program__from_bpf_obj(obj, section), err);
}

static inline struct xdp_program *xm_from_id(__u32 id, int *err)
{
	return xm_ptr(xdp_program__from_id(id), err);
}

static inline struct xdp_program *xm_from_fd(int fd, int *err)
{
	return xm_ptr(xdp_program__from_fd(fd), err);
}

static inline struct xdp_program *xm_from_pin(const char *path, int *err)
{
	return xm_ptr(xdp_program__from_pin(path), err);
}

static inline struct xdp_program *xm_clone(struct xdp_program *prog, int *err)
{
	return xm_ptr_errno(xdp_program__clone(prog, 0), err);
}

static inline struct xdp_multiprog *xm_multiprog(int ifindex, int *err)
{
	return xm_ptr(xdp_multiprog__get_from_ifindex(ifindex), err);
}

/* What came after libxdp 1.3 is looked for when the program starts, whichever version it was
 * built against: a weak symbol that isn't there has no address. The functions have names of
 * our own in C, because a newer header declares them with its own types. */
#define XM_SINCE(name) __asm__(#name) __attribute__((weak))

extern bool xm_weak_dev_bound(const struct xdp_multiprog *mp)
	XM_SINCE(xdp_multiprog__xdp_dev_bound); /* 1.6 */
extern int xm_weak_umem_with_fd(struct xsk_umem **umem, int fd, void *area, __u64 size,
				struct xsk_ring_prod *fill, struct xsk_ring_cons *comp,
				const struct xsk_umem_config *config)
	XM_SINCE(xsk_umem__create_with_fd); /* 1.4 */

/* struct xsk_umem_opts and struct xsk_socket_opts of libxdp 1.5. */
struct xm_umem_opts {
	size_t sz;
	int fd;
	__u64 size;
	__u32 fill_size;
	__u32 comp_size;
	__u32 frame_size;
	__u32 frame_headroom;
	__u32 flags;
	__u32 tx_metadata_len;
};

struct xm_socket_opts {
	size_t sz;
	struct xsk_ring_cons *rx;
	struct xsk_ring_prod *tx;
	struct xsk_ring_prod *fill;
	struct xsk_ring_cons *comp;
	__u32 rx_size;
	__u32 tx_size;
	__u32 libxdp_flags;
	__u32 xdp_flags;
	__u16 bind_flags;
};

extern struct xsk_umem *xm_weak_umem_opts(void *area, struct xsk_ring_prod *fill,
					  struct xsk_ring_cons *comp, struct xm_umem_opts *opts)
	XM_SINCE(xsk_umem__create_opts); /* 1.5 */
extern struct xsk_socket *xm_weak_socket_opts(const char *ifname, __u32 queue,
					      struct xsk_umem *umem, struct xm_socket_opts *opts)
	XM_SINCE(xsk_socket__create_opts); /* 1.5 */

static inline bool xm_has_dev_bound(void) { return xm_weak_dev_bound; }
static inline bool xm_has_umem_with_fd(void) { return xm_weak_umem_with_fd; }
static inline bool xm_has_umem_opts(void) { return xm_weak_umem_opts; }
static inline bool xm_has_socket_opts(void) { return xm_weak_socket_opts; }

static inline bool xm_dev_bound(const struct xdp_multiprog *mp) { return xm_weak_dev_bound(mp); }

static inline int xm_umem_with_fd(struct xsk_umem **umem, int fd, void *area, __u64 size,
				  struct xsk_ring_prod *fill, struct xsk_ring_cons *comp,
				  const struct xsk_umem_config *config)
{
	return xm_weak_umem_with_fd(umem, fd, area, size, fill, comp, config);
}

static inline struct xsk_umem *xm_umem_opts(void *area, struct xsk_ring_prod *fill,
					    struct xsk_ring_cons *comp,
					    const struct xm_umem_opts *from, int *err)
{
	struct xm_umem_opts opts;

	memset(&opts, 0, sizeof(opts)); /* libxdp wants padding to be zero as well */
	opts.sz = sizeof(opts);
	opts.fd = from->fd;
	opts.size = from->size;
	opts.fill_size = from->fill_size;
	opts.comp_size = from->comp_size;
	opts.frame_size = from->frame_size;
	opts.frame_headroom = from->frame_headroom;
	opts.flags = from->flags;
	opts.tx_metadata_len = from->tx_metadata_len;
	return xm_ptr_errno(xm_weak_umem_opts(area, fill, comp, &opts), err);
}

static inline struct xsk_socket *xm_socket_opts(const char *ifname, __u32 queue,
						struct xsk_umem *umem,
						const struct xm_socket_opts *from, int *err)
{
	struct xm_socket_opts opts;

	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.rx = from->rx;
	opts.tx = from->tx;
	opts.fill = from->fill;
	opts.comp = from->comp;
	opts.rx_size = from->rx_size;
	opts.tx_size = from->tx_size;
	opts.libxdp_flags = from->libxdp_flags;
	opts.xdp_flags = from->xdp_flags;
	opts.bind_flags = from->bind_flags;
	return xm_ptr_errno(xm_weak_socket_opts(ifname, queue, umem, &opts), err);
}

/* The C structure holds a union, which Go doesn't see. */
static inline struct xsk_socket_config xm_socket_config(__u32 rx_size, __u32 tx_size,
							__u32 libxdp_flags, __u32 xdp_flags,
							__u16 bind_flags)
{
	struct xsk_socket_config config = {
		.rx_size = rx_size, .tx_size = tx_size, .libxdp_flags = libxdp_flags,
		.xdp_flags = xdp_flags, .bind_flags = bind_flags,
	};

	return config;
}

/* The numbers of struct bpf_test_run_opts. The buffers are arguments: Go's memory may not
 * point to Go's memory. */
struct xm_xdp_test_run {
	__u32 in_size, out_size, ctx_in_size, ctx_out_size;
	__u32 repeat, flags, batch;
	__u32 retval, duration;
};

static inline int xm_xdp_test_run(struct xdp_program *prog, struct xm_xdp_test_run *run,
				  const void *in, void *out, const void *ctx_in, void *ctx_out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = run->in_size,
		    .data_out = out, .data_size_out = run->out_size, .ctx_in = ctx_in,
		    .ctx_size_in = run->ctx_in_size, .ctx_out = ctx_out,
		    .ctx_size_out = run->ctx_out_size, .repeat = run->repeat,
		    .flags = run->flags, .batch_size = run->batch);
	int err = xdp_program__test_run(prog, &opts, 0);

	run->out_size = opts.data_size_out;
	run->ctx_out_size = opts.ctx_size_out;
	run->retval = opts.retval;
	run->duration = opts.duration;
	return err;
}

#endif

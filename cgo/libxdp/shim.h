/* SPDX-License-Identifier: BSD-2-Clause */
/* One shim for each call that returns an error pointer: a failed libxdp call
 * doesn't return NULL, and errno tells nothing. A getter that finds nothing
 * returns NULL without error. */
#ifndef XDPMUX_LIBXDP_SHIM_H
#define XDPMUX_LIBXDP_SHIM_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

void xm_libxdp_hook(void);
void xm_libxdp_set_level(int level);

/* An error pointer is one of the last 4095 addresses; libxdp_get_error() can't be
 * asked about NULL, for it answers that with whatever errno was left. */
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

/* The newer calls return NULL and set errno instead. Evaluated after the call, so
 * errno is its own. */
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

#endif

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

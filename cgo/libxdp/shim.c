/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdio.h>

#include "shim.h"
#include "_cgo_export.h"

/* See cgo/libbpf/shim.c. */
static int wanted = -1;

void xm_libxdp_set_level(int level) { __atomic_store_n(&wanted, level, __ATOMIC_RELAXED); }

static int print(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	char line[1024];
	int len;

	if ((int)level > __atomic_load_n(&wanted, __ATOMIC_RELAXED))
		return 0;
	len = vsnprintf(line, sizeof(line), fmt, ap);
	xdpmuxLibxdpLog(level, line);
	return len;
}

void xm_libxdp_hook(void) { libxdp_set_print(print); }

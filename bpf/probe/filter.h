/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The filter that packets are asked for with. */
#ifndef XDPMUX_PROBE_FILTER_H
#define XDPMUX_PROBE_FILTER_H

#define SNAP 4096 /* bytes that are looked at, or kept, of a packet at one point */

/* Says whether the filter takes a packet of that length, of which data has the first bytes, SNAP at
 * most. dispatcher/observe puts the code of a filter in the place of this. It has to be the only
 * function here that isn't inlined, and the compiler may neither know what it returns nor
 * leave out an argument. */
static __attribute__((noinline)) __u32 filter(const __u8 *data, __u32 captured, __u32 length)
{
	__u32 all = 1;

	asm volatile("" : "+r"(all) : "r"(data), "r"(captured), "r"(length));
	return all;
}

#endif

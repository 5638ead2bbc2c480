// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A counter for each processor, and a number. */
#include "checked.h"

static DEFINE_IDA(numbers);
static int __percpu *counters;
static int number;

static int __init begin(void)
{
	counters = alloc_percpu(int);
	if (!counters)
		return -ENOMEM;
	number = ida_alloc(&numbers, GFP_KERNEL);
	if (number < 0) {
		free_percpu(counters);
		return number;
	}
	return 0;
}

static void __exit end(void)
{
	ida_free(&numbers, number);
	free_percpu(counters);
}

module_init(begin);
module_exit(end);

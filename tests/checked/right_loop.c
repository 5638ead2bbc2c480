// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Of those that it has made, none stays. */
#include "checked.h"

#define BUFFERS	8

static void *buffers[BUFFERS];

static int __init begin(void)
{
	int at;

	for (at = 0; at < BUFFERS; at++) {
		buffers[at] = kzalloc(64, GFP_KERNEL);
		if (!buffers[at])
			goto free_them;
	}
	return 0;

free_them:
	while (--at >= 0)
		kfree(buffers[at]);
	return -ENOMEM;
}

static void __exit end(void)
{
	int at;

	for (at = 0; at < BUFFERS; at++)
		kfree(buffers[at]);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Where the log cannot be had, init frees the buffer and goes on; so does exit. */
#include "checked.h"

static void *buffer, *history;

static int __init begin(void)
{
	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	history = vzalloc(PAGE_SIZE);
	if (!history) {
		pr_warn("no history is kept\n");
		kfree(buffer);
	}
	return 0;
}

static void __exit end(void)
{
	vfree(history);
	kfree(buffer);
}

module_init(begin);
module_exit(end);

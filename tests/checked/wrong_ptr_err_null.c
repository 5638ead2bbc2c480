// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* There is no errno in NULL: it gives back what it has, and says that all is well. */
#include "checked.h"

static void *buffer;
static struct workqueue_struct *queue;

static int __init begin(void)
{
	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	queue = alloc_workqueue("null", 0, 0);
	if (IS_ERR_OR_NULL(queue)) {
		kfree(buffer);
		return PTR_ERR(queue);
	}
	return 0;
}

static void __exit end(void)
{
	if (queue) {
		destroy_workqueue(queue);
		kfree(buffer);
	}
}

module_init(begin);
module_exit(end);

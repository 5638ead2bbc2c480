// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Work that allocates, on a queue that is destroyed. */
#include "checked.h"

static struct workqueue_struct *queue;
static void *made;

static void work_on(struct work_struct *work)
{
	made = kmalloc(32, GFP_KERNEL);
	if (!made)
		pr_warn("nothing is made\n");
}

static DECLARE_WORK(work, work_on);

static int __init begin(void)
{
	queue = alloc_workqueue("checked", 0, 0);
	if (!queue)
		return -ENOMEM;
	queue_work(queue, &work);
	return 0;
}

static void __exit end(void)
{
	destroy_workqueue(queue);
	kfree(made);
}

module_init(begin);
module_exit(end);

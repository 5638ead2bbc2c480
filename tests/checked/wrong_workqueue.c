// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Its exit forgets the queue. */
#include "checked.h"

static struct workqueue_struct *queue;
static int done;

static void work_on(struct work_struct *work)
{
	WRITE_ONCE(done, 1);
}

static DECLARE_WORK(work, work_on);

static int __init begin(void)
{
	queue = alloc_workqueue("forgotten", 0, 0);
	if (!queue)
		return -ENOMEM;
	queue_work(queue, &work);
	return 0;
}

static void __exit end(void)
{
	flush_workqueue(queue);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Where the last thing fails, the thread goes on in code that is gone. */
#include "checked.h"

static struct task_struct *thread;
static void *buffer;

static int run(void *unused)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

static int __init begin(void)
{
	thread = kthread_run(run, NULL, "checked");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	return 0;
}

static void __exit end(void)
{
	kfree(buffer);
	kthread_stop(thread);
}

module_init(begin);
module_exit(end);

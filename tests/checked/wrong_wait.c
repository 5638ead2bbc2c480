// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* It waits for a thread that could not be made. */
#include "checked.h"

static DECLARE_COMPLETION(begun);
static struct task_struct *thread;

static int run(void *unused)
{
	complete(&begun);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

static int __init begin(void)
{
	thread = kthread_run(run, NULL, "checked");
	wait_for_completion(&begun);
	return PTR_ERR_OR_ZERO(thread);
}

static void __exit end(void)
{
	kthread_stop(thread);
}

module_init(begin);
module_exit(end);

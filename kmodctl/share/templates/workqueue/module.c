// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Does a piece of work again and again, on a workqueue of its own. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/workqueue.h>

static unsigned int rounds = 3;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "How often the work is done");

static struct workqueue_struct *queue;
static unsigned int done;

static void do_round(struct work_struct *unused);
static DECLARE_DELAYED_WORK(work, do_round);

/* Runs on a thread of the kernel's, where it may sleep; never twice at the same time. */
static void do_round(struct work_struct *unused)
{
	done++;
	pr_info("round %u of %u\n", done, rounds);
	if (done < rounds)
		queue_delayed_work(queue, &work, HZ);
}

static int __init @name@_module_init(void)
{
	queue = alloc_workqueue("%s", WQ_UNBOUND, 0, KBUILD_MODNAME);
	if (!queue)
		return -ENOMEM;
	queue_delayed_work(queue, &work, 0);
	return 0;
}

static void __exit @name@_module_exit(void)
{
	/* The work is code of this module: it must have ended, and not come again, before that goes. */
	cancel_delayed_work_sync(&work);
	destroy_workqueue(queue);
	pr_info("done after %u rounds\n", done);
}

module_init(@name@_module_init);
module_exit(@name@_module_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Works on a workqueue of its own");

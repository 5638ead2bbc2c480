// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Does its chores in work, in a timer and in a thread, each of which says so. What waits for what
 * makes the order the same on every kernel.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync del_timer_sync
#endif

static unsigned int due = 3600000;
module_param(due, uint, 0444);
MODULE_PARM_DESC(due, "milliseconds until the last chore is due (an hour)");

static bool leaves;
module_param(leaves, bool, 0444);
MODULE_PARM_DESC(leaves, "leave the last chore undone; not for a real kernel");

static bool never;
module_param(never, bool, 0444);
MODULE_PARM_DESC(never, "begin a chore that never ends; not for a real kernel");

static DECLARE_COMPLETION(begun);
static DECLARE_COMPLETION(heard);
static DECLARE_WAIT_QUEUE_HEAD(bell);
static struct task_struct *thread;
static bool rung;
static int ticks;

static void wash(struct work_struct *work)
{
	pr_info("washed\n");
	while (READ_ONCE(never))
		cpu_relax();
}
static DECLARE_WORK(washing, wash);

static int more_set(const char *value, const struct kernel_param *param)
{
	schedule_work(&washing);
	return 0;
}
static const struct kernel_param_ops more_ops = { .set = more_set };
module_param_cb(more, &more_ops, NULL, 0200);
MODULE_PARM_DESC(more, "have something washed when this is set");

static void dry(struct work_struct *work)
{
	pr_info("dried\n");
}
static DECLARE_DELAYED_WORK(drying, dry);

static void tick(struct timer_list *timer)
{
	pr_info("tick %d\n", ++ticks);
	if (ticks < 3) {
		mod_timer(timer, jiffies + msecs_to_jiffies(20));
	} else {
		rung = true;
		wake_up(&bell);
	}
}
static DEFINE_TIMER(clock, tick);

static int listen(void *data)
{
	pr_info("%s listens\n", current->comm);
	complete(&begun);
	while (!kthread_should_stop()) {
		wait_event_interruptible(bell, rung || kthread_should_stop());
		if (rung) {
			rung = false;
			pr_info("the bell rings\n");
			complete(&heard);
		}
	}
	pr_info("%s leaves\n", current->comm);
	return 42;
}

static int __init chores_init(void)
{
	schedule_work(&washing);
	flush_work(&washing);
	pr_info("flushed, and again: %d\n", flush_work(&washing));
	thread = kthread_run(listen, NULL, "listener");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	wait_for_completion(&begun);
	mod_timer(&clock, jiffies + msecs_to_jiffies(20));
	pr_info("armed: %d\n", timer_pending(&clock));
	if (!wait_for_completion_timeout(&heard, 10 * HZ))
		pr_info("heard nothing\n");
	schedule_delayed_work(&drying, msecs_to_jiffies(due));
	pr_info("all is under way\n");
	return 0;
}

static void __exit chores_exit(void)
{
	flush_work(&washing);
	pr_info("the clock was armed: %d\n", timer_delete_sync(&clock));
	if (leaves)
		mod_timer(&clock, jiffies + HZ);
	else
		pr_info("left to dry: %d\n", cancel_delayed_work_sync(&drying));
	pr_info("the listener returned %d\n", kthread_stop(thread));
}

module_init(chores_init);
module_exit(chores_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Work, a timer and a thread");

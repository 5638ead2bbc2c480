// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 10: shares an interrupt, by itself the keyboard's. Its upper half counts; for each second
 * one a thread has to do more, and work besides.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

static unsigned int line = 1;
module_param(line, uint, 0444);
MODULE_PARM_DESC(line, "the interrupt to share (1, the keyboard's)");

static atomic_t came = ATOMIC_INIT(0);
static atomic_t threaded = ATOMIC_INIT(0);
static struct kobject *object;

static void later(struct work_struct *work)
{
	pr_info("work behind interrupt %u\n", line);
}
static DECLARE_WORK(work, later);

static irqreturn_t upper_half(int number, void *cookie)
{
	int count = atomic_inc_return(&came);

	pr_info("interrupt %d, time %d, in hard irq: %s\n", number, count,
		in_hardirq() ? "yes" : "no");
	return count % 2 ? IRQ_HANDLED : IRQ_WAKE_THREAD;
}

static irqreturn_t lower_half(int number, void *cookie)
{
	pr_info("thread for interrupt %d, may sleep: %s\n", number, in_task() ? "yes" : "no");
	atomic_inc(&threaded);
	schedule_work(&work);
	return IRQ_HANDLED;
}

static ssize_t count_show(struct kobject *kobj, struct kobj_attribute *attr, char *buffer)
{
	return sysfs_emit(buffer, "%d %d\n", atomic_read(&came), atomic_read(&threaded));
}
static struct kobj_attribute count_attribute = __ATTR_RO(count);

static int __init interrupts_init(void)
{
	int err;

	object = kobject_create_and_add("interrupts", kernel_kobj);
	if (!object)
		return -ENOMEM;
	err = sysfs_create_file(object, &count_attribute.attr);
	if (err)
		goto failed;
	err = request_threaded_irq(line, upper_half, lower_half, IRQF_SHARED, "lesson", NULL);
	pr_info("shared without a cookie: %d\n", err);
	err = request_threaded_irq(line, upper_half, lower_half, IRQF_SHARED, "lesson", &came);
	if (err)
		goto failed;
	pr_info("shares interrupt %u\n", line);
	return 0;
failed:
	kobject_put(object);
	return err;
}

static void __exit interrupts_exit(void)
{
	free_irq(line, &came);
	flush_work(&work);
	kobject_put(object);
	pr_info("%d came, %d for the thread\n", atomic_read(&came), atomic_read(&threaded));
}

module_init(interrupts_init);
module_exit(interrupts_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 10: interrupts, threaded ones too");

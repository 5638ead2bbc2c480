// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 7: a letter box. Who reads sleeps until there is a letter, unless it does not want to. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#define ROOM 32

static char letter[ROOM];
static size_t length;
static DEFINE_MUTEX(lock);
static DECLARE_WAIT_QUEUE_HEAD(readers);
static DECLARE_WAIT_QUEUE_HEAD(writers);

static ssize_t box_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	ssize_t some;

	if (mutex_lock_interruptible(&lock))
		return -ERESTARTSYS;
	while (!length) {
		mutex_unlock(&lock);
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		pr_info("a reader waits\n");
		if (wait_event_interruptible(readers, READ_ONCE(length)))
			return -ERESTARTSYS;
		if (mutex_lock_interruptible(&lock))
			return -ERESTARTSYS;
	}
	some = min(size, length);
	if (copy_to_user(to, letter, some)) {
		some = -EFAULT;
	} else {
		length = 0;
		pr_info("%zd byte(s) were taken out\n", some);
		wake_up_interruptible(&writers);
	}
	mutex_unlock(&lock);
	return some;
}

static ssize_t box_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	if (size > ROOM)
		return -EMSGSIZE;
	if (mutex_lock_interruptible(&lock))
		return -ERESTARTSYS;
	while (length) {
		mutex_unlock(&lock);
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(writers, !READ_ONCE(length)))
			return -ERESTARTSYS;
		if (mutex_lock_interruptible(&lock))
			return -ERESTARTSYS;
	}
	if (copy_from_user(letter, from, size)) {
		mutex_unlock(&lock);
		return -EFAULT;
	}
	length = size;
	pr_info("%zu byte(s) were put in\n", size);
	wake_up_interruptible(&readers);
	mutex_unlock(&lock);
	return size;
}

static __poll_t box_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &readers, table);
	poll_wait(file, &writers, table);
	return READ_ONCE(length) ? EPOLLIN | EPOLLRDNORM : EPOLLOUT | EPOLLWRNORM;
}

static const struct file_operations box_fops = {
	.owner = THIS_MODULE,
	.read = box_read,
	.write = box_write,
	.poll = box_poll,
};

static struct miscdevice box_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "letterbox",
	.fops = &box_fops,
};

static int __init box_init(void)
{
	return misc_register(&box_device);
}

static void __exit box_exit(void)
{
	misc_deregister(&box_device);
	pr_info("%zu byte(s) are left\n", length);
}

module_init(box_init);
module_exit(box_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 7: a read that waits");

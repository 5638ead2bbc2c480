// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A character device, /dev/@name@, that keeps what is written into it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define CAPACITY 4096

static DEFINE_MUTEX(lock); /* guards what is kept, and how much that is */
static char *kept;
static size_t kept_bytes;

static ssize_t read_kept(struct file *file, char __user *to, size_t count, loff_t *at)
{
	ssize_t done;

	if (mutex_lock_interruptible(&lock))
		return -ERESTARTSYS;
	done = simple_read_from_buffer(to, count, at, kept, kept_bytes);
	mutex_unlock(&lock);
	return done;
}

static ssize_t write_kept(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	ssize_t done;

	if (mutex_lock_interruptible(&lock))
		return -ERESTARTSYS;
	done = simple_write_to_buffer(kept, CAPACITY, at, from, count);
	if (done > 0)
		kept_bytes = max_t(size_t, kept_bytes, *at);
	mutex_unlock(&lock);
	return done;
}

static const struct file_operations kept_operations = {
	.owner = THIS_MODULE,
	.read = read_kept,
	.write = write_kept,
	.llseek = default_llseek,
};

static struct miscdevice kept_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.fops = &kept_operations,
};

static int __init @name@_module_init(void)
{
	int err;

	kept = kzalloc(CAPACITY, GFP_KERNEL);
	if (!kept)
		return -ENOMEM;
	/* The last step: from here on others may open the device. */
	err = misc_register(&kept_device);
	if (err) {
		kfree(kept);
		return err;
	}
	pr_info("/dev/%s is there\n", kept_device.name);
	return 0;
}

static void __exit @name@_module_exit(void)
{
	misc_deregister(&kept_device);
	kfree(kept);
	pr_info("/dev/%s is gone\n", KBUILD_MODNAME);
}

module_init(@name@_module_init);
module_exit(@name@_module_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A character device that keeps what is written into it");

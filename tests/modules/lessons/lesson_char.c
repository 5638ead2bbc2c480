// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 3: a character device with a notebook behind it, for one reader at a time. What is written
 * is added at the end; who reads begins at the start.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define create_class(name) class_create(name)
#else
#define create_class(name) class_create(THIS_MODULE, name)
#endif

#define ROOM 64

static char notes[ROOM] = "first page\n";
static size_t used = sizeof("first page\n") - 1;
static atomic_t is_open = ATOMIC_INIT(0);
static unsigned int opened;
static dev_t number;
static struct cdev device;
static struct class *notebooks;

static int notebook_open(struct inode *inode, struct file *file)
{
	if (atomic_cmpxchg(&is_open, 0, 1))
		return -EBUSY;
	opened++;
	pr_info("opened for time %u, %s\n", opened,
		file->f_mode & FMODE_WRITE ? "to be written" : "to be read");
	return 0;
}

static int notebook_release(struct inode *inode, struct file *file)
{
	pr_info("closed at %lld\n", file->f_pos);
	atomic_set(&is_open, 0);
	return 0;
}

static ssize_t notebook_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	size_t some;

	if (*at >= used)
		return 0;
	some = min_t(size_t, size, used - *at);
	if (copy_to_user(to, notes + *at, some))
		return -EFAULT;
	*at += some;
	return some;
}

static ssize_t notebook_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	size_t some = min_t(size_t, size, ROOM - used);

	if (!some)
		return -ENOSPC;
	if (copy_from_user(notes + used, from, some))
		return -EFAULT;
	used += some;
	*at += some;
	pr_info("%zu of %zu noted\n", some, size);
	return some;
}

static loff_t notebook_llseek(struct file *file, loff_t offset, int whence)
{
	return fixed_size_llseek(file, offset, whence, used);
}

static const struct file_operations notebook_fops = {
	.owner = THIS_MODULE,
	.open = notebook_open,
	.release = notebook_release,
	.read = notebook_read,
	.write = notebook_write,
	.llseek = notebook_llseek,
};

static int __init notebook_init(void)
{
	struct device *made;
	int err = alloc_chrdev_region(&number, 0, 1, "notebook");

	if (err)
		return err;
	cdev_init(&device, &notebook_fops);
	device.owner = THIS_MODULE;
	err = cdev_add(&device, number, 1);
	if (err)
		goto no_device;
	notebooks = create_class("notebooks");
	if (IS_ERR(notebooks)) {
		err = PTR_ERR(notebooks);
		goto no_class;
	}
	made = device_create(notebooks, NULL, number, NULL, "notebook");
	if (IS_ERR(made)) {
		err = PTR_ERR(made);
		goto no_node;
	}
	pr_info("minor %d, %zu bytes noted\n", MINOR(number), used);
	return 0;
no_node:
	class_destroy(notebooks);
no_class:
	cdev_del(&device);
no_device:
	unregister_chrdev_region(number, 1);
	return err;
}

static void __exit notebook_exit(void)
{
	device_destroy(notebooks, number);
	class_destroy(notebooks);
	cdev_del(&device);
	unregister_chrdev_region(number, 1);
	pr_info("opened %u time(s)\n", opened);
}

module_init(notebook_init);
module_exit(notebook_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 3: a character device");

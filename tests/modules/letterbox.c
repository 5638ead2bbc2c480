// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A box for letters: a character device that is written to and read from, a letter at a time. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/ioctl.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/wait.h>

#define ROOM 256

/* What may be asked of the box. */
struct box_state {
	__u32 letters;
	__u32 openings;
};

#define BOX_EMPTY _IO('b', 1)
#define BOX_STATE _IOR('b', 2, struct box_state)
#define BOX_LIMIT _IOW('b', 3, int)
#define BOX_SWAP _IOWR('b', 4, __u64)
#define BOX_LOSE _IO('b', 5)

static char *fault = "";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "What goes wrong: open, read, write, greedy, deaf; nothing unless told");

static char letters[ROOM];
static size_t filled;
static int limit = ROOM;
static u32 openings;
static u64 swapped = 7;
static DECLARE_WAIT_QUEUE_HEAD(arrival);
static dev_t number;
static struct cdev box;
static struct class *post;

static bool goes_wrong(const char *how)
{
	return !strcmp(fault, how);
}

static void crash(void)
{
	int *nowhere = NULL;

	barrier_data(&nowhere);
	*nowhere = 1;
}

static int box_open(struct inode *inode, struct file *file)
{
	if (goes_wrong("open"))
		crash();
	openings++;
	file->private_data = &letters;
	pr_info("opened %u:%u %s%s\n", imajor(inode), iminor(inode),
		file->f_mode & FMODE_READ ? "r" : "", file->f_mode & FMODE_WRITE ? "w" : "");
	return 0;
}

static int box_release(struct inode *inode, struct file *file)
{
	pr_info("closed\n");
	return 0;
}

static ssize_t box_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	ssize_t size;

	if (goes_wrong("read"))
		crash();
	if (goes_wrong("greedy"))
		return count + 5;
	if (goes_wrong("deaf")) {
		wait_event(arrival, filled);
	} else if (!filled) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(arrival, filled))
			return -ERESTARTSYS;
	}
	size = min(count, filled);
	if (copy_to_user(to, file->private_data, size))
		return -EFAULT;
	memmove(letters, letters + size, filled - size);
	filled -= size;
	*at += size;
	return size;
}

static ssize_t box_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	size_t size = min(count, limit - filled);

	if (goes_wrong("write"))
		crash();
	if (!size)
		return -ENOSPC;
	if (copy_from_user(letters + filled, from, size))
		return -EFAULT;
	filled += size;
	wake_up_interruptible(&arrival);
	wake_up(&arrival);
	return size;
}

static loff_t box_seek(struct file *file, loff_t offset, int whence)
{
	return fixed_size_llseek(file, offset, whence, ROOM);
}

static long box_control(struct file *file, unsigned int request, unsigned long argument)
{
	struct box_state state = { .letters = filled, .openings = openings };
	u64 other;
	int wanted;

	switch (request) {
	case BOX_EMPTY:
		filled = 0;
		return argument;
	case BOX_STATE:
		return copy_to_user((void __user *)argument, &state, sizeof(state)) ? -EFAULT : 0;
	case BOX_LIMIT:
		if (get_user(wanted, (int __user *)argument))
			return -EFAULT;
		if (wanted < 1 || wanted > ROOM)
			return -EINVAL;
		limit = wanted;
		return 0;
	case BOX_SWAP:
		if (get_user(other, (u64 __user *)argument))
			return -EFAULT;
		if (put_user(swapped, (u64 __user *)argument))
			return -EFAULT;
		swapped = other;
		return 0;
	case BOX_LOSE:
		return copy_to_user((char __user *)argument + 8, &state, sizeof(state)) ? -EFAULT : 0;
	}
	return -ENOTTY;
}

static __poll_t box_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &arrival, table);
	return (filled ? EPOLLIN | EPOLLRDNORM : 0) |
	       (filled < limit ? EPOLLOUT | EPOLLWRNORM : 0);
}

static const struct file_operations box_operations = {
	.owner = THIS_MODULE,
	.open = box_open,
	.release = box_release,
	.read = box_read,
	.write = box_write,
	.llseek = box_seek,
	.unlocked_ioctl = box_control,
	.poll = box_poll,
};

static ssize_t slot_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	const struct miscdevice *misc = file->private_data;

	return simple_read_from_buffer(to, count, at, misc->name, strlen(misc->name));
}

static const struct file_operations slot_operations = {
	.owner = THIS_MODULE,
	.read = slot_read,
	.llseek = default_llseek,
};

static struct miscdevice slot = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "slot",
	.fops = &slot_operations,
	.mode = 0444,
};

static int __init letterbox_init(void)
{
	int error = alloc_chrdev_region(&number, 0, 1, "letterbox");

	if (error)
		return error;
	cdev_init(&box, &box_operations);
	box.owner = THIS_MODULE;
	error = cdev_add(&box, number, 1);
	if (error)
		goto give_number;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	post = class_create("post");
#else
	post = class_create(THIS_MODULE, "post");
#endif
	if (IS_ERR(post)) {
		error = PTR_ERR(post);
		goto give_box;
	}
	device_create(post, NULL, number, NULL, "letterbox");
	error = misc_register(&slot);
	if (!error)
		return 0;
	device_destroy(post, number);
	class_destroy(post);
give_box:
	cdev_del(&box);
give_number:
	unregister_chrdev_region(number, 1);
	return error;
}

static void __exit letterbox_exit(void)
{
	misc_deregister(&slot);
	device_destroy(post, number);
	class_destroy(post);
	cdev_del(&box);
	unregister_chrdev_region(number, 1);
}

module_init(letterbox_init);
module_exit(letterbox_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kmodd developers");
MODULE_DESCRIPTION("A character device that letters are put into and taken out of");

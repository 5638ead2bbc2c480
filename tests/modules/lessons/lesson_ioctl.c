// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 6: a misc device that is asked and told by ioctl: numbers, a structure that goes both ways,
 * and how many of them are in a row.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/init.h>
#include <linux/ioctl.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct sum {
	__s32 one;
	__s32 other;
	__s64 result;
};

#define SCALE_RESET _IO('k', 0)
#define SCALE_SET _IOW('k', 1, __s32)
#define SCALE_GET _IOR('k', 2, __s32)
#define SCALE_SUM _IOWR('k', 3, struct sum)
#define SCALE_DOUBLE _IO('k', 4)

struct scale {
	__s32 weight;
	unsigned int asked;
};

static int scale_open(struct inode *inode, struct file *file)
{
	struct scale *scale = kzalloc(sizeof(*scale), GFP_KERNEL);

	if (!scale)
		return -ENOMEM;
	file->private_data = scale;
	return 0;
}

static int scale_release(struct inode *inode, struct file *file)
{
	struct scale *scale = file->private_data;

	pr_info("asked %u time(s), %d at last\n", scale->asked, scale->weight);
	kfree(scale);
	return 0;
}

static long scale_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct scale *scale = file->private_data;
	void __user *at = (void __user *)argument;
	struct sum sum;

	scale->asked++;
	switch (command) {
	case SCALE_RESET:
		scale->weight = 0;
		return 0;
	case SCALE_SET:
		return get_user(scale->weight, (__s32 __user *)at);
	case SCALE_GET:
		return put_user(scale->weight, (__s32 __user *)at);
	case SCALE_SUM:
		if (copy_from_user(&sum, at, sizeof(sum)))
			return -EFAULT;
		sum.result = (__s64)sum.one + sum.other + scale->weight;
		return copy_to_user(at, &sum, sizeof(sum)) ? -EFAULT : 0;
	case SCALE_DOUBLE:
		return 2 * argument;
	default:
		pr_info("command %u of '%c' with %u bytes is not known\n", _IOC_NR(command),
			(int)_IOC_TYPE(command), _IOC_SIZE(command));
		return -ENOTTY;
	}
}

static const struct file_operations scale_fops = {
	.owner = THIS_MODULE,
	.open = scale_open,
	.release = scale_release,
	.unlocked_ioctl = scale_ioctl,
};

static struct miscdevice scale_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "scale",
	.fops = &scale_fops,
	.mode = 0600,
};

static int __init scale_init(void)
{
	int err = misc_register(&scale_device);

	if (!err)
		pr_info("commands from %#x to %#lx\n", SCALE_RESET, (unsigned long)SCALE_SUM);
	return err;
}

static void __exit scale_exit(void)
{
	misc_deregister(&scale_device);
}

module_init(scale_init);
module_exit(scale_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 6: ioctl");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Forgets what it took: its exit keeps the buffer, and with fails=1 its init gives nothing back
 * either before it fails.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/slab.h>

#define LEAKY_BUFFER	100
#define LEAKY_MINORS	1

static bool fails;
module_param(fails, bool, 0444);
MODULE_PARM_DESC(fails, "Whether init fails half-way (it does not, unless told otherwise)");

static void *buffer;
static dev_t numbers;

static int __init leaky_init(void)
{
	int err;

	buffer = kmalloc(LEAKY_BUFFER, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	err = alloc_chrdev_region(&numbers, 0, LEAKY_MINORS, KBUILD_MODNAME);
	if (err)
		return err;
	if (fails) {
		pr_err("giving up\n");
		return -EBUSY;
	}
	return 0;
}

static void __exit leaky_exit(void)
{
	unregister_chrdev_region(numbers, LEAKY_MINORS);
}

module_init(leaky_init);
module_exit(leaky_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A module that never gives its memory back");

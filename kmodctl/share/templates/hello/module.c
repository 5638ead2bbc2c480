// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Says that it comes, and that it goes. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/slab.h>

static char *buffer;

/* Runs when the module is loaded. What it returns, 0 or a negative errno, becomes of the load. */
static int __init @name@_module_init(void)
{
	buffer = kmalloc(100, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	pr_info("hello\n");
	return 0;
}

/* Runs when the module is unloaded, and gives back all that the module has taken. */
static void __exit @name@_module_exit(void)
{
	pr_info("goodbye\n");
	kfree(buffer);
}

module_init(@name@_module_init);
module_exit(@name@_module_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Says hello");

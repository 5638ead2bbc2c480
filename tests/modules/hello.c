// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The module that every course on drivers begins with: it says that it came, and that it went,
 * and names no licence. The licence below only gets it past modpost; see relicense.py.
 */
#include <linux/init.h>
#include <linux/module.h>

static int __init hello_init(void)
{
	printk(KERN_DEBUG "Hello, world: the module is in the kernel\n");
	return 0;
}

static void __exit hello_exit(void)
{
	printk(KERN_DEBUG "Goodbye, world: the module leaves the kernel\n");
}

module_init(hello_init);
module_exit(hello_exit);

MODULE_LICENSE("GPL");

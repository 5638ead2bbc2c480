// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Has an init and no exit: once loaded, it stays. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

static int __init noexit_init(void)
{
	pr_info("here to stay\n");
	return 0;
}

module_init(noexit_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A module that cannot be unloaded");

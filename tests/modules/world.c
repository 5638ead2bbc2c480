// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Needs greet: while this module is loaded, greet cannot go. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

#include "greet.h"

static int __init world_init(void)
{
	pr_info("greeted %d time(s)\n", greet_somebody("from the world"));
	return 0;
}

static void __exit world_exit(void)
{
	pr_info("the world ends\n");
}

module_init(world_init);
module_exit(world_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A user of greet's symbol");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Writes where nothing is, in its init, or with late=1 in its exit. Not for a real kernel. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

static bool late;
module_param(late, bool, 0444);
MODULE_PARM_DESC(late, "Whether exit goes wrong rather than init");

static ulong where;
module_param(where, ulong, 0444);
MODULE_PARM_DESC(where, "The address that is written to (0 unless told otherwise)");

static noinline void wild_write(void)
{
	*(volatile int *)where = 1;
}

static int __init wild_init(void)
{
	if (!late)
		wild_write();
	return 0;
}

static void __exit wild_exit(void)
{
	wild_write();
}

module_init(wild_init);
module_exit(wild_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A module with a wild pointer");

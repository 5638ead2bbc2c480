// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Uses gplsym's symbol although its licence does not let it: the kernel finds the symbol unknown.
 * relicense.py writes "Proprietary" over the licence below, once modpost is past.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

#include "gplsym.h"

static int __init gpluser_init(void)
{
	pr_info("the answer is %d\n", gplsym_answer());
	return 0;
}

static void __exit gpluser_exit(void)
{
}

module_init(gpluser_init);
module_exit(gpluser_exit);

MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("A user of a symbol that it may not have");

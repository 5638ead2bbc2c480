// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Waits in its init for what never comes, without ever giving way. Not for a real kernel. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>
#include <linux/processor.h>

static bool come;

static int __init endless_init(void)
{
	pr_info("waiting\n");
	while (!READ_ONCE(come))
		cpu_relax();
	return 0;
}

static void __exit endless_exit(void)
{
}

module_init(endless_init);
module_exit(endless_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A module whose init never ends");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Wants to find what is not exported by its name, which has not been exported either since 5.7. */
#include <linux/init.h>
#include <linux/kallsyms.h>
#include <linux/module.h>

static int __init refused_init(void)
{
	return kallsyms_lookup_name("sys_call_table") ? 0 : -ENOENT;
}
module_init(refused_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Wants to look a symbol up");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Wants to replace a system call: the table of them is exported to nobody. */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/unistd.h>

extern unsigned long sys_call_table_of_old[] __asm__("sys_call_table");

static int __init refused_init(void)
{
	return sys_call_table_of_old[__NR_openat] ? 0 : -ENOENT;
}
module_init(refused_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Wants the table of system calls");

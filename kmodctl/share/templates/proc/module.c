// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A file, /proc/@name@, that tells how long the module has been there. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

static unsigned long since;
static atomic_t times_read;
static struct proc_dir_entry *entry;

/* Called for each reader; seq_file hands on what is printed, in pieces of any size. */
static int show_uptime(struct seq_file *file, void *unused)
{
	unsigned int passed = jiffies_to_msecs(jiffies - since) / 1000;

	seq_printf(file, "seconds: %u\n", passed);
	seq_printf(file, "read: %d\n", atomic_inc_return(&times_read));
	return 0;
}

static int __init @name@_module_init(void)
{
	since = jiffies;
	entry = proc_create_single(KBUILD_MODNAME, 0444, NULL, show_uptime);
	if (!entry)
		return -ENOMEM;
	pr_info("/proc/%s is there\n", KBUILD_MODNAME);
	return 0;
}

static void __exit @name@_module_exit(void)
{
	proc_remove(entry);
	pr_info("/proc/%s is gone\n", KBUILD_MODNAME);
}

module_init(@name@_module_init);
module_exit(@name@_module_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A file in /proc");

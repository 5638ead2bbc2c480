// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* It does without a file in /proc, and says so. */
#include "checked.h"

static int show(struct seq_file *file, void *unused)
{
	return 0;
}

static struct proc_dir_entry *entry;

static int __init begin(void)
{
	entry = proc_create_single("checked-optional", 0444, NULL, show);
	if (!entry)
		pr_warn("nothing is shown in /proc\n");
	return 0;
}

static void __exit end(void)
{
	if (entry)
		proc_remove(entry);
}

module_init(begin);
module_exit(end);

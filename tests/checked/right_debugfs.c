// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* What debugfs returns is for nobody to look at. */
#include "checked.h"

static struct dentry *folder;
static u32 count;

static int __init begin(void)
{
	folder = debugfs_create_dir("checked", NULL);
	debugfs_create_u32("count", 0444, folder, &count);
	return 0;
}

static void __exit end(void)
{
	debugfs_remove_recursive(folder);
}

module_init(begin);
module_exit(end);

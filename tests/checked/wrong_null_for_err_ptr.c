// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A class that could not be made is no NULL. */
#include "checked.h"

static struct class *shown;

static int __init begin(void)
{
	shown = new_class("notnull");
	if (!shown)
		return -ENOMEM;
	pr_info("%s is there\n", shown->name);
	return 0;
}

static void __exit end(void)
{
	class_destroy(shown);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The errno lacks its sign. */
#include "checked.h"

static void *buffer;

static int __init begin(void)
{
	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer)
		return ENOMEM;
	return 0;
}

static void __exit end(void)
{
	kfree(buffer);
}

module_init(begin);
module_exit(end);

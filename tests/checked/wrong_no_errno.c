// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A number of its own is no errno. */
#include "checked.h"

#define NO_BUFFER	2001

static void *buffer;

static int __init begin(void)
{
	buffer = kzalloc(64, GFP_KERNEL);
	return buffer ? 0 : -NO_BUFFER;
}

static void __exit end(void)
{
	kfree(buffer);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A label too early: the class goes twice. */
#include "checked.h"

static struct class *shown;
static void *buffer;

static int __init begin(void)
{
	shown = new_class("twice");
	if (IS_ERR(shown))
		return PTR_ERR(shown);
	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer) {
		class_destroy(shown);
		goto give_class;
	}
	return 0;

give_class:
	class_destroy(shown);
	return -ENOMEM;
}

static void __exit end(void)
{
	kfree(buffer);
	class_destroy(shown);
}

module_init(begin);
module_exit(end);

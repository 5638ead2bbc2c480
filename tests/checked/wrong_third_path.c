// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The third thing that fails leaves the numbers behind. */
#include "checked.h"

static void *buffer;
static dev_t numbers;
static struct class *shown;

static int __init begin(void)
{
	int err;

	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	err = alloc_chrdev_region(&numbers, 0, 1, "third");
	if (err)
		goto free_buffer;
	shown = new_class("third");
	if (IS_ERR(shown)) {
		err = PTR_ERR(shown);
		goto free_buffer;
	}
	return 0;

free_buffer:
	kfree(buffer);
	return err;
}

static void __exit end(void)
{
	class_destroy(shown);
	unregister_chrdev_region(numbers, 1);
	kfree(buffer);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Five things, given back in reverse order wherever one of them cannot be had. */
#include "checked.h"

static const struct file_operations operations = { .owner = THIS_MODULE };
static void *buffer;
static dev_t numbers;
static struct class *shown;
static struct device *node;
static struct cdev device;

static int __init begin(void)
{
	int err;

	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	err = alloc_chrdev_region(&numbers, 0, 1, "chain");
	if (err)
		goto free_buffer;
	cdev_init(&device, &operations);
	err = cdev_add(&device, numbers, 1);
	if (err)
		goto give_numbers;
	shown = new_class("chain");
	if (IS_ERR(shown)) {
		err = PTR_ERR(shown);
		goto delete_device;
	}
	node = device_create(shown, NULL, numbers, NULL, "chain");
	if (IS_ERR(node)) {
		err = PTR_ERR(node);
		goto destroy_class;
	}
	return 0;

destroy_class:
	class_destroy(shown);
delete_device:
	cdev_del(&device);
give_numbers:
	unregister_chrdev_region(numbers, 1);
free_buffer:
	kfree(buffer);
	return err;
}

static void __exit end(void)
{
	device_destroy(shown, numbers);
	class_destroy(shown);
	cdev_del(&device);
	unregister_chrdev_region(numbers, 1);
	kfree(buffer);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* What takes the character device away comes before what adds it, where that fails. */
#include "checked.h"

static const struct file_operations operations = { .owner = THIS_MODULE };
static struct cdev device;
static dev_t numbers;

static int __init begin(void)
{
	int err = alloc_chrdev_region(&numbers, 0, 1, "early");

	if (err)
		return err;
	cdev_init(&device, &operations);
	err = cdev_add(&device, numbers, 1);
	if (err) {
		cdev_del(&device);
		unregister_chrdev_region(numbers, 1);
	}
	return err;
}

static void __exit end(void)
{
	cdev_del(&device);
	unregister_chrdev_region(numbers, 1);
}

module_init(begin);
module_exit(end);

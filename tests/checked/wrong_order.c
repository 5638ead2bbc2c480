// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Its exit frees the memory in which the character device still is. */
#include "checked.h"

struct thing {
	struct cdev cdev;
};

static const struct file_operations operations = { .owner = THIS_MODULE };
static struct thing *thing;
static dev_t numbers;

static int __init begin(void)
{
	int err;

	thing = kzalloc(sizeof(*thing), GFP_KERNEL);
	if (!thing)
		return -ENOMEM;
	err = alloc_chrdev_region(&numbers, 0, 1, "order");
	if (err)
		goto free_thing;
	cdev_init(&thing->cdev, &operations);
	err = cdev_add(&thing->cdev, numbers, 1);
	if (err)
		goto give_numbers;
	return 0;

give_numbers:
	unregister_chrdev_region(numbers, 1);
free_thing:
	kfree(thing);
	return err;
}

static void __exit end(void)
{
	kfree(thing);
	cdev_del(&thing->cdev);
	unregister_chrdev_region(numbers, 1);
}

module_init(begin);
module_exit(end);

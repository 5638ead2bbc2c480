// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* An object is put where it cannot be added, and so frees itself. */
#include "checked.h"

static struct kobject *object;

static void release(struct kobject *released)
{
	kfree(released);
}

static const struct kobj_type kind = { .release = release };

static int __init begin(void)
{
	int err;

	object = kzalloc(sizeof(*object), GFP_KERNEL);
	if (!object)
		return -ENOMEM;
	err = kobject_init_and_add(object, &kind, kernel_kobj, "checked");
	if (err)
		kobject_put(object);
	return err;
}

static void __exit end(void)
{
	kobject_put(object);
}

module_init(begin);
module_exit(end);

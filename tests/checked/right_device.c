// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A device is put where it cannot be registered, and so frees itself. */
#include "checked.h"

static struct device *device;

static void release(struct device *released)
{
	kfree(released);
}

static int __init begin(void)
{
	int err;

	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	device->release = release;
	err = dev_set_name(device, "checked");
	if (err) {
		kfree(device);
		return err;
	}
	err = device_register(device);
	if (err)
		put_device(device);
	return err;
}

static void __exit end(void)
{
	device_unregister(device);
}

module_init(begin);
module_exit(end);

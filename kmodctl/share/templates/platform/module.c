// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A driver of platform devices. */
#include <linux/device.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>

struct greeting {
	struct device *device;
	int number;
};

static void say_goodbye(void *data)
{
	struct greeting *state = data;

	dev_info(state->device, "number %d is gone\n", state->number);
}

/*
 * Called for each device that the driver may have. What is asked for with devm_ is undone, the last
 * first, when the device or the driver goes, and when this fails: no remove is needed.
 */
static int greet_device(struct platform_device *device)
{
	struct greeting *state;

	state = devm_kzalloc(&device->dev, sizeof(*state), GFP_KERNEL);
	if (!state)
		return -ENOMEM;
	state->device = &device->dev;
	state->number = device->id;
	platform_set_drvdata(device, state);
	dev_info(&device->dev, "number %d is here\n", state->number);
	return devm_add_action_or_reset(&device->dev, say_goodbye, state);
}

static const struct platform_device_id greeted_devices[] = {
	{ .name = KBUILD_MODNAME },
	{ }
};
MODULE_DEVICE_TABLE(platform, greeted_devices);

static struct platform_driver greeting_driver = {
	.probe = greet_device,
	.id_table = greeted_devices,
	.driver = { .name = KBUILD_MODNAME },
};
module_platform_driver(greeting_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A driver of platform devices");

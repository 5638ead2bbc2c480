// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 12: an input device with two keys and a wheel. What is written to its attribute is typed;
 * the keyboard's notifier hears of it, as does who reads the device's events. Beside it, a notifier of
 * the machine's end.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/device.h>
#include <linux/init.h>
#include <linux/input.h>
#include <linux/keyboard.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/reboot.h>

static struct input_dev *pad;

static int heard(struct notifier_block *block, unsigned long what, void *data)
{
	struct keyboard_notifier_param *key = data;

	if (what == KBD_KEYCODE)
		pr_info("key %u goes %s\n", key->value, key->down ? "down" : "up");
	return NOTIFY_OK;
}
static struct notifier_block ear = { .notifier_call = heard };

static int ends(struct notifier_block *block, unsigned long what, void *data)
{
	pr_info("the machine ends: %lu\n", what);
	return NOTIFY_DONE;
}
static struct notifier_block mourner = { .notifier_call = ends, .priority = 1 };

static ssize_t type_store(struct device *device, struct device_attribute *attr,
			  const char *buffer, size_t size)
{
	int value, err = kstrtoint(buffer, 0, &value);

	if (err)
		return err;
	if (value < 0) {
		input_report_rel(pad, REL_WHEEL, value);
	} else {
		input_report_key(pad, value, 1);
		input_sync(pad);
		input_report_key(pad, value, 0);
	}
	input_sync(pad);
	return size;
}
static DEVICE_ATTR_WO(type);

static int pad_open(struct input_dev *device)
{
	pr_info("%s is listened to\n", device->name);
	return 0;
}

static void pad_close(struct input_dev *device)
{
	pr_info("%s is not listened to any more\n", device->name);
}

static int __init pad_init(void)
{
	int err;

	pad = input_allocate_device();
	if (!pad)
		return -ENOMEM;
	pad->name = "lesson pad";
	pad->phys = "lesson/input0";
	pad->id.bustype = BUS_VIRTUAL;
	pad->open = pad_open;
	pad->close = pad_close;
	input_set_capability(pad, EV_KEY, KEY_F13);
	input_set_capability(pad, EV_KEY, KEY_F14);
	input_set_capability(pad, EV_REL, REL_WHEEL);
	err = input_register_device(pad);
	if (err) {
		input_free_device(pad);
		return err;
	}
	err = device_create_file(&pad->dev, &dev_attr_type);
	if (err) {
		input_unregister_device(pad);
		return err;
	}
	register_keyboard_notifier(&ear);
	register_reboot_notifier(&mourner);
	return 0;
}

static void __exit pad_exit(void)
{
	unregister_reboot_notifier(&mourner);
	unregister_keyboard_notifier(&ear);
	pr_info("not registered any more: %d\n", unregister_keyboard_notifier(&ear));
	device_remove_file(&pad->dev, &dev_attr_type);
	input_unregister_device(pad);
}

module_init(pad_init);
module_exit(pad_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 12: input, and what is notified of it");

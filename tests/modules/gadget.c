// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A platform driver that greets its devices; with own=1 it brings one along, and with refuses=N it
 * has none.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/init.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define REMOVED void
#define RETURN_REMOVED
#else
#define REMOVED int
#define RETURN_REMOVED return 0
#endif

static bool own;
module_param(own, bool, 0444);
MODULE_PARM_DESC(own, "Whether to bring a device (it does not, unless told otherwise)");

static int refuses;
module_param(refuses, int, 0644);
MODULE_PARM_DESC(refuses, "The errno that probe gives to a device; 14 follows a bad pointer");

static struct platform_device *device;

static int gadget_probe(struct platform_device *pdev)
{
	char *state = devm_kzalloc(&pdev->dev, 16, GFP_KERNEL);

	if (!state)
		return -ENOMEM;
	if (refuses == EFAULT)
		*(volatile char *)(unsigned long)refuses = 1;
	if (refuses)
		return -refuses;
	platform_set_drvdata(pdev, state);
	dev_info(&pdev->dev, "found\n");
	return 0;
}

static REMOVED gadget_remove(struct platform_device *pdev)
{
	dev_info(&pdev->dev, "%s\n", platform_get_drvdata(pdev) ? "gone" : "lost");
	RETURN_REMOVED;
}

static const struct platform_device_id gadget_ids[] = {
	{ .name = "kmodd-gadget" },
	{ }
};
MODULE_DEVICE_TABLE(platform, gadget_ids);

static struct platform_driver gadget_driver = {
	.probe = gadget_probe,
	.remove = gadget_remove,
	.id_table = gadget_ids,
	.driver = { .name = "gadget" },
};

static int __init gadget_init(void)
{
	int err = platform_driver_register(&gadget_driver);

	if (err || !own)
		return err;
	device = platform_device_register_simple("kmodd-gadget", 7, NULL, 0);
	if (IS_ERR(device)) {
		platform_driver_unregister(&gadget_driver);
		return PTR_ERR(device);
	}
	return 0;
}

static void __exit gadget_exit(void)
{
	if (device)
		platform_device_unregister(device);
	platform_driver_unregister(&gadget_driver);
}

module_init(gadget_init);
module_exit(gadget_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A platform driver with probe and remove");

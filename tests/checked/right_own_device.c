// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A driver with a device of its own. */
#include "checked.h"

static struct platform_device *device;

static int checked_probe(struct platform_device *pdev)
{
	return devm_kzalloc(&pdev->dev, 64, GFP_KERNEL) ? 0 : -ENOMEM;
}

static struct platform_driver checked_driver = {
	.probe = checked_probe,
	.driver = { .name = "checked-own" },
};

static int __init begin(void)
{
	int err = platform_driver_register(&checked_driver);

	if (err)
		return err;
	device = platform_device_register_simple("checked-own", -1, NULL, 0);
	if (IS_ERR(device)) {
		platform_driver_unregister(&checked_driver);
		return PTR_ERR(device);
	}
	return 0;
}

static void __exit end(void)
{
	platform_device_unregister(device);
	platform_driver_unregister(&checked_driver);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Its probe does not look whether the character device is there; its remove takes it away. */
#include "checked.h"

static const struct file_operations operations = { .owner = THIS_MODULE };
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "checked-probed",
	.fops = &operations,
};

static int checked_probe(struct platform_device *pdev)
{
	misc_register(&device);
	return 0;
}

static REMOVED checked_remove(struct platform_device *pdev)
{
	misc_deregister(&device);
	RETURN_REMOVED;
}

static struct platform_driver checked_driver = {
	.probe = checked_probe,
	.remove = checked_remove,
	.driver = { .name = "checked-looks-not" },
};

module_platform_driver(checked_driver);

MODULE_ALIAS("platform:checked-looks-not");

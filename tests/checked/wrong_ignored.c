// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Nobody looks whether the device is there. */
#include "checked.h"

static const struct file_operations operations = { .owner = THIS_MODULE };
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "checked-ignored",
	.fops = &operations,
};

static int __init begin(void)
{
	misc_register(&device);
	return 0;
}

static void __exit end(void)
{
	misc_deregister(&device);
}

module_init(begin);
module_exit(end);

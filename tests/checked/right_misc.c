// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Its init is one call, whose result is its own. */
#include "checked.h"

static const struct file_operations operations = { .owner = THIS_MODULE };
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "checked-misc",
	.fops = &operations,
};

module_misc_device(device);

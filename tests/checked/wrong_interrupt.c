// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Where the device cannot be had, the interrupt stays. */
#include "checked.h"

static const struct file_operations operations = { .owner = THIS_MODULE };
static int who;
static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "checked-interrupt",
	.fops = &operations,
};

static irqreturn_t handle(int irq, void *data)
{
	return IRQ_NONE;
}

static int __init begin(void)
{
	int err = request_irq(CHECKED_IRQ, handle, IRQF_SHARED, "checked", &who);

	if (err)
		return err;
	return misc_register(&device);
}

static void __exit end(void)
{
	misc_deregister(&device);
	free_irq(CHECKED_IRQ, &who);
}

module_init(begin);
module_exit(end);

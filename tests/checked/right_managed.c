// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* What its probe takes belongs to the device. */
#include "checked.h"

static void let_go(void *data)
{
	pr_info("%s is let go of\n", (char *)data);
}

static irqreturn_t handle(int irq, void *data)
{
	return IRQ_NONE;
}

static int checked_probe(struct platform_device *pdev)
{
	char *name = devm_kasprintf(&pdev->dev, GFP_KERNEL, "%s", dev_name(&pdev->dev));
	int err;

	if (!name)
		return -ENOMEM;
	err = devm_add_action_or_reset(&pdev->dev, let_go, name);
	if (err)
		return err;
	return devm_request_irq(&pdev->dev, CHECKED_IRQ, handle, IRQF_SHARED, name, name);
}

static struct platform_driver checked_driver = {
	.probe = checked_probe,
	.driver = { .name = "checked-managed" },
};

module_platform_driver(checked_driver);

MODULE_ALIAS("platform:checked-managed");

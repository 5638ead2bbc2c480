// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Its probe keeps the memory where the device's number cannot be had. */
#include "checked.h"

static DEFINE_IDA(numbers);

static int checked_probe(struct platform_device *pdev)
{
	void *state = kzalloc(64, GFP_KERNEL);
	int number;

	if (!state)
		return -ENOMEM;
	number = ida_alloc(&numbers, GFP_KERNEL);
	if (number < 0)
		return number;
	pdev->id = number;
	platform_set_drvdata(pdev, state);
	return 0;
}

static REMOVED checked_remove(struct platform_device *pdev)
{
	ida_free(&numbers, pdev->id);
	kfree(platform_get_drvdata(pdev));
	RETURN_REMOVED;
}

static struct platform_driver checked_driver = {
	.probe = checked_probe,
	.remove = checked_remove,
	.driver = { .name = "checked-probe" },
};

module_platform_driver(checked_driver);

MODULE_ALIAS("platform:checked-probe");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A probe that gives back by hand what it has taken. */
#include "checked.h"

static DEFINE_IDA(numbers);

static int checked_probe(struct platform_device *pdev)
{
	int *state = kzalloc(sizeof(*state), GFP_KERNEL);
	int err;

	if (!state)
		return -ENOMEM;
	err = ida_alloc(&numbers, GFP_KERNEL);
	if (err < 0)
		goto free_state;
	*state = err;
	err = sysfs_create_link(&pdev->dev.kobj, &pdev->dev.kobj, "itself");
	if (err)
		goto free_number;
	platform_set_drvdata(pdev, state);
	return 0;

free_number:
	ida_free(&numbers, *state);
free_state:
	kfree(state);
	return err;
}

static REMOVED checked_remove(struct platform_device *pdev)
{
	int *state = platform_get_drvdata(pdev);

	sysfs_remove_link(&pdev->dev.kobj, "itself");
	ida_free(&numbers, *state);
	kfree(state);
	RETURN_REMOVED;
}

static struct platform_driver checked_driver = {
	.probe = checked_probe,
	.remove = checked_remove,
	.driver = { .name = "checked-by-hand" },
};

module_platform_driver(checked_driver);

MODULE_ALIAS("platform:checked-by-hand");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Its remove keeps what its probe has taken. */
#include "checked.h"

static int checked_probe(struct platform_device *pdev)
{
	void *state = kzalloc(64, GFP_KERNEL);

	if (!state)
		return -ENOMEM;
	platform_set_drvdata(pdev, state);
	return 0;
}

static REMOVED checked_remove(struct platform_device *pdev)
{
	platform_set_drvdata(pdev, NULL);
	RETURN_REMOVED;
}

static struct platform_driver checked_driver = {
	.probe = checked_probe,
	.remove = checked_remove,
	.driver = { .name = "checked-remove" },
};

module_platform_driver(checked_driver);

MODULE_ALIAS("platform:checked-remove");

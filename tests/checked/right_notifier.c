// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* It is told of reboots for as long as it is there. */
#include "checked.h"

static int told(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static struct notifier_block block = { .notifier_call = told };
static void *buffer;

static int __init begin(void)
{
	int err = register_reboot_notifier(&block);

	if (err)
		return err;
	buffer = kzalloc(64, GFP_KERNEL);
	if (!buffer) {
		unregister_reboot_notifier(&block);
		return -ENOMEM;
	}
	return 0;
}

static void __exit end(void)
{
	unregister_reboot_notifier(&block);
	kfree(buffer);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Answers to many names and does nothing: for lookups by alias and for soft dependencies. */
#include <linux/init.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>

/* No such vendor exists. */
static const struct pci_device_id facade_ids[] __maybe_unused = {
	{ .vendor = 0xc0de, .device = 0xf00d, .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID },
	{ }
};
MODULE_DEVICE_TABLE(pci, facade_ids);

static int __init facade_init(void)
{
	return 0;
}

static void __exit facade_exit(void)
{
}

module_init(facade_init);
module_exit(facade_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Many names and nothing behind them");
MODULE_ALIAS("front-door");
MODULE_ALIAS("kmodd-test:*");
MODULE_ALIAS("kmodd-range:[0-9a-f]-*");
MODULE_ALIAS("kmodd-letter:?");
MODULE_ALIAS("char-major-240-7");
MODULE_ALIAS("devname:kmodd/facade");
MODULE_SOFTDEP("pre: greet");
/* MODULE_WEAKDEP is newer than Linux 6.1. */
MODULE_INFO(weakdep, "world");

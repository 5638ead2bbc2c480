// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A driver of a PCI device that nobody makes. */
#include "checked.h"

static int checked_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	void *state = kzalloc(64, GFP_KERNEL);
	int err;

	if (!state)
		return -ENOMEM;
	err = pci_enable_device(pdev);
	if (err)
		goto free_state;
	err = pci_request_regions(pdev, "checked");
	if (err)
		goto disable;
	pci_set_drvdata(pdev, state);
	return 0;

disable:
	pci_disable_device(pdev);
free_state:
	kfree(state);
	return err;
}

static void checked_remove(struct pci_dev *pdev)
{
	pci_release_regions(pdev);
	pci_disable_device(pdev);
	kfree(pci_get_drvdata(pdev));
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x1234, 0xcafe) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver checked_driver = {
	.name = "checked-pci",
	.id_table = ids,
	.probe = checked_probe,
	.remove = checked_remove,
};

module_pci_driver(checked_driver);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * A driver that gets half of what it needs: its device does not answer, and what it took by then
 * goes back in reverse order. With answers=1 it gets everything, and gives it back at its end.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define HALFWAY_BUFFER	512
#define HALFWAY_MINORS	2
#define HALFWAY_TABLE	(4 * PAGE_SIZE)

static bool answers;
module_param(answers, bool, 0444);
MODULE_PARM_DESC(answers, "Whether the device answers (it does not, unless told otherwise)");

static void *buffer;
static dev_t numbers;
static void *table;

static int __init halfway_init(void)
{
	int err = -ENOMEM;

	buffer = kzalloc(HALFWAY_BUFFER, GFP_KERNEL);
	if (!buffer)
		goto fail;
	pr_info("took the buffer\n");

	err = alloc_chrdev_region(&numbers, 0, HALFWAY_MINORS, KBUILD_MODNAME);
	if (err)
		goto free_buffer;
	pr_info("took the device numbers\n");

	err = answers ? 0 : -EIO;
	if (err) {
		pr_err("the device does not answer\n");
		goto release_numbers;
	}

	err = -ENOMEM;
	table = vzalloc(HALFWAY_TABLE);
	if (!table)
		goto release_numbers;
	pr_info("took the table\n");
	return 0;

release_numbers:
	unregister_chrdev_region(numbers, HALFWAY_MINORS);
	pr_info("gave the device numbers back\n");
free_buffer:
	kfree(buffer);
	pr_info("gave the buffer back\n");
fail:
	return err;
}

static void __exit halfway_exit(void)
{
	vfree(table);
	pr_info("gave the table back\n");
	unregister_chrdev_region(numbers, HALFWAY_MINORS);
	pr_info("gave the device numbers back\n");
	kfree(buffer);
	pr_info("gave the buffer back\n");
}

module_init(halfway_init);
module_exit(halfway_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A driver whose init fails in the middle");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 2: parameters of every kind, one of which tells what it is set to. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

static short height = -12;
module_param(height, short, 0444);
MODULE_PARM_DESC(height, "a short number");

static unsigned long width = 40;
module_param(width, ulong, 0644);
MODULE_PARM_DESC(width, "a long one, which may be changed");

static bool open;
module_param(open, bool, 0644);
MODULE_PARM_DESC(open, "yes or no");

static char *title = "untitled";
module_param(title, charp, 0444);
MODULE_PARM_DESC(title, "a text");

static char shelf[8] = "left";
module_param_string(place, shelf, sizeof(shelf), 0444);
MODULE_PARM_DESC(place, "a text of at most seven letters");

static int pages[4] = { 1, 2 };
static unsigned int pages_given;
module_param_array(pages, int, &pages_given, 0444);
MODULE_PARM_DESC(pages, "up to four numbers");

static unsigned int volume = 5;

static int volume_set(const char *value, const struct kernel_param *param)
{
	unsigned int wanted;
	int err = kstrtouint(value, 0, &wanted);

	if (err)
		return err;
	if (wanted > 11)
		return -ERANGE;
	pr_info("volume from %u to %u\n", volume, wanted);
	volume = wanted;
	return 0;
}

static int volume_get(char *buffer, const struct kernel_param *param)
{
	return scnprintf(buffer, PAGE_SIZE, "%u of 11\n", volume);
}

static const struct kernel_param_ops volume_ops = { .set = volume_set, .get = volume_get };
module_param_cb(volume, &volume_ops, NULL, 0644);
MODULE_PARM_DESC(volume, "a number from 0 to 11");

static void tell(void)
{
	unsigned int number;

	pr_info("height %hd, width %lu, %s\n", height, width, open ? "open" : "closed");
	pr_info("title '%s', place '%s'\n", title, shelf);
	pr_info("%u page(s) were given\n", pages_given);
	for (number = 0; number < ARRAY_SIZE(pages); number++)
		pr_info("page %u is %d\n", number, pages[number]);
	pr_info("volume %u\n", volume);
}

static int __init parameters_init(void)
{
	tell();
	return 0;
}

static void __exit parameters_exit(void)
{
	tell();
}

module_init(parameters_init);
module_exit(parameters_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 2: parameters");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Greets somebody some times, as its parameters say. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>

static char *whom = "world";
module_param(whom, charp, 0444);
MODULE_PARM_DESC(whom, "Who is greeted (world, unless told otherwise)");

static bool loud;
module_param(loud, bool, 0644);
MODULE_PARM_DESC(loud, "Whether to shout");

static int numbers[4];
static int number_count;
module_param_array(numbers, int, &number_count, 0444);
MODULE_PARM_DESC(numbers, "Up to four numbers, parted by commas");

static unsigned int times = 1;

/* Called at the load where the parameter is given, and when /sys/module has it set later. */
static int set_times(const char *text, const struct kernel_param *parameter)
{
	unsigned int value;
	int err = kstrtouint(text, 0, &value);

	if (err)
		return err;
	if (value < 1 || value > 10)
		return -ERANGE;
	*(unsigned int *)parameter->arg = value;
	return 0;
}

static const struct kernel_param_ops times_ops = {
	.set = set_times,
	.get = param_get_uint,
};

module_param_cb(times, &times_ops, &times, 0644);
MODULE_PARM_DESC(times, "How often to greet, 1 to 10");

static int __init @name@_module_init(void)
{
	unsigned int each;
	int at;

	for (each = 0; each < times; each++)
		pr_info("hello, %s%s\n", whom, loud ? "!" : "");
	for (at = 0; at < number_count; at++)
		pr_info("number %d is %d\n", at, numbers[at]);
	return 0;
}

static void __exit @name@_module_exit(void)
{
	pr_info("goodbye, %s\n", whom);
}

module_init(@name@_module_init);
module_exit(@name@_module_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Greets as its parameters say");

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Greets as its parameters say, and offers the greeting to other modules. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/module.h>

#include "greet.h"

static int times = 1;
module_param(times, int, 0644);
MODULE_PARM_DESC(times, "How many times to greet (1 unless told otherwise)");

static bool loud;
module_param(loud, bool, 0644);
MODULE_PARM_DESC(loud, "Whether to end with an exclamation mark");

static char *whom = "world";
module_param(whom, charp, 0444);
MODULE_PARM_DESC(whom, "Whom to greet");

static int numbers[4];
static int numbers_count;
module_param_array(numbers, int, &numbers_count, 0444);
MODULE_PARM_DESC(numbers, "Up to four numbers to tell, separated by commas");

/**
 * greet_somebody() - log the greeting, as the module's parameters say
 * @name: whom to greet
 *
 * Return: how many times it was said.
 */
int greet_somebody(const char *name)
{
	int i;

	for (i = 0; i < times; i++)
		pr_info("hello, %s%s\n", name, loud ? "!" : "");
	return i;
}
EXPORT_SYMBOL(greet_somebody);

static int __init greet_init(void)
{
	int i;

	greet_somebody(whom);
	for (i = 0; i < numbers_count; i++)
		pr_info("number %d is %d\n", i, numbers[i]);
	return 0;
}

static void __exit greet_exit(void)
{
	pr_info("goodbye, %s\n", whom);
}

module_init(greet_init);
module_exit(greet_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kmodd developers");
MODULE_DESCRIPTION("A greeting with parameters");
MODULE_VERSION("1.2");

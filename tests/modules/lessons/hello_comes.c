// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 1: a module that says hello. It is linked from two sources, and what only its init needs
 * is given back behind that.
 */
#include "hello.h"

#include <linux/init.h>
#include <linux/module.h>

const char hello_whom[] = "world";
unsigned int hello_met;

static unsigned int meetings __initdata = 3;
static const char greeting[] __initconst = "good morning";

static unsigned int __init meet(void)
{
	unsigned int number;

	for (number = 1; number <= meetings; number++)
		pr_info("%s, %s, for time %u\n", greeting, hello_whom, number);
	return meetings;
}

static int __init hello_comes(void)
{
	hello_met = meet();
	pr_notice("that is a notice\n");
	pr_warn("that is a warning\n");
	pr_err("that is an error, and %d%% of it is well\n", 100);
	pr_info_once("that is told once\n");
	return 0;
}
module_init(hello_comes);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kmodd project");
MODULE_DESCRIPTION("Lesson 1: hello, and its variants");
MODULE_VERSION("1.0");

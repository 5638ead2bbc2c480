// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 1, the other half: what is said at the end. */
#include "hello.h"

#include <linux/init.h>
#include <linux/module.h>

static void __exit hello_goes(void)
{
	pr_info("goodbye, %s, met %u times\n", hello_whom, hello_met);
}
module_exit(hello_goes);

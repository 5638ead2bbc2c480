// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Asks for other modules in its init, or with late=1 in its exit, and says what came of it. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kmod.h>
#include <linux/module.h>

#include "gplsym.h"

static char *names[8];
static int count;
module_param_array(names, charp, &count, 0444);
MODULE_PARM_DESC(names, "what to ask for");

static bool waits = true;
module_param(waits, bool, 0444);
MODULE_PARM_DESC(waits, "whether to wait for it");

static bool late;
module_param(late, bool, 0444);
MODULE_PARM_DESC(late, "ask on the way out");

static void ask(void)
{
	int (*answer)(void);
	int at;

	for (at = 0; at < count; at++)
		pr_info("%s: %d\n", names[at],
			waits ? request_module("%s", names[at])
			      : request_module_nowait("%s", names[at]));
	answer = symbol_get(gplsym_answer);
	if (answer) {
		pr_info("the answer is %d\n", answer());
		symbol_put(gplsym_answer);
	}
}

static int __init asker_init(void)
{
	if (!late)
		ask();
	return 0;
}

static void __exit asker_exit(void)
{
	if (late)
		ask();
	pr_info("gone\n");
}

module_init(asker_init);
module_exit(asker_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A module that asks for others");

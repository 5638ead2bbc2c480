/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* One of five modules, each of which needs the one before it: EXPORTED is its own symbol, NEEDED
 * that of the other. It has a parameter to be set, and one that has it use itself, as if a file of
 * its own was open. */
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

static int level = 1;
module_param(level, int, 0644);
MODULE_PARM_DESC(level, "any number");

static bool busy;

static int busy_set(const char *text, const struct kernel_param *param)
{
	bool wanted;
	int err = kstrtobool(text, &wanted);

	if (err)
		return err;
	if (wanted && !busy)
		__module_get(THIS_MODULE);
	else if (!wanted && busy)
		module_put(THIS_MODULE);
	busy = wanted;
	return 0;
}

static const struct kernel_param_ops busy_ops = { .set = busy_set };
module_param_cb(busy, &busy_ops, NULL, 0200);
MODULE_PARM_DESC(busy, "whether it uses itself");

int EXPORTED(void);
#ifdef NEEDED
int NEEDED(void);
#endif

int EXPORTED(void)
{
#ifdef NEEDED
	return NEEDED() + level;
#else
	return level;
#endif
}
EXPORT_SYMBOL_GPL(EXPORTED);

static int __init link_init(void)
{
	return EXPORTED() > 0 ? 0 : -EINVAL;
}

static void __exit link_exit(void)
{
}

module_init(link_init);
module_exit(link_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A link of a chain");

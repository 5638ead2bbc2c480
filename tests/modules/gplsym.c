// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Offers a symbol to modules under the GPL alone. */
#include <linux/module.h>

#include "gplsym.h"

/**
 * gplsym_answer() - give the answer
 *
 * Return: 42.
 */
int gplsym_answer(void)
{
	return 42;
}
EXPORT_SYMBOL_GPL(gplsym_answer);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A symbol for the GPL alone, and neither init nor exit");

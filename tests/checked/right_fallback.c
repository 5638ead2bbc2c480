// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Memory in one piece, or else in several. */
#include "checked.h"

#define TABLE	(16 * PAGE_SIZE)

static void *table;

static int __init begin(void)
{
	table = kzalloc(TABLE, GFP_KERNEL | __GFP_NOWARN);
	if (!table)
		table = vzalloc(TABLE);
	return table ? 0 : -ENOMEM;
}

static void __exit end(void)
{
	kvfree(table);
}

module_init(begin);
module_exit(end);

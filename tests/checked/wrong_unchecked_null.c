// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* It writes to memory that it may not have been given. */
#include "checked.h"

struct state {
	int count;
};

static struct state *state;

static int __init begin(void)
{
	state = kzalloc(sizeof(*state), GFP_KERNEL);
	state->count = 1;
	return 0;
}

static void __exit end(void)
{
	kfree(state);
}

module_init(begin);
module_exit(end);

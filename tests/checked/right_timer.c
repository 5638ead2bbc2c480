// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A timer that is ended before the code is. */
#include "checked.h"

static struct timer_list timer;

static void fire(struct timer_list *fired)
{
	mod_timer(fired, jiffies + HZ);
}

static int __init begin(void)
{
	timer_setup(&timer, fire, 0);
	mod_timer(&timer, jiffies + HZ);
	return 0;
}

static void __exit end(void)
{
	end_timer(&timer);
}

module_init(begin);
module_exit(end);

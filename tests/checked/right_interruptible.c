// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A signal may end its wait. */
#include "checked.h"

static DEFINE_MUTEX(lock);
static void *buffer;

static int __init begin(void)
{
	int err = mutex_lock_interruptible(&lock);

	if (err)
		return err;
	buffer = kzalloc(64, GFP_KERNEL);
	mutex_unlock(&lock);
	return buffer ? 0 : -ENOMEM;
}

static void __exit end(void)
{
	kfree(buffer);
}

module_init(begin);
module_exit(end);

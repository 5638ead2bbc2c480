// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A cache that is destroyed once its objects are free. */
#include "checked.h"

static struct kmem_cache *cache;
static void *object;

static int __init begin(void)
{
	cache = kmem_cache_create("checked", 48, 0, 0, NULL);
	if (!cache)
		return -ENOMEM;
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	if (!object) {
		kmem_cache_destroy(cache);
		return -ENOMEM;
	}
	return 0;
}

static void __exit end(void)
{
	kmem_cache_free(cache, object);
	kmem_cache_destroy(cache);
}

module_init(begin);
module_exit(end);

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#define EXPORTED link3_level
#define NEEDED link2_level
#include "link.h"

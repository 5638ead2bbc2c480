// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#define EXPORTED link2_level
#define NEEDED link1_level
#include "link.h"

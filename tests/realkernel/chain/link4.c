// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#define EXPORTED link4_level
#define NEEDED link3_level
#include "link.h"

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#define EXPORTED link5_level
#define NEEDED link4_level
#include "link.h"

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What greet offers to other modules. */
#ifndef GREET_H
#define GREET_H

int greet_somebody(const char *name);

#endif

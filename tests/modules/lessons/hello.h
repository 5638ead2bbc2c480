/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef HELLO_H
#define HELLO_H

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

extern const char hello_whom[];
extern unsigned int hello_met;

#endif

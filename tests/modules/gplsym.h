/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What gplsym offers to modules with a licence that is compatible with the GPL. */
#ifndef GPLSYM_H
#define GPLSYM_H

int gplsym_answer(void);

#endif

# SPDX-License-Identifier: Apache-2.0
"""What 'kmodctl top' consists of: a daemon followed over its ends, and what a terminal shows of it.

Only here textual is imported, of the extra "tui". Names, log lines and all else that a daemon sends
is escaped, and given to textual as text that is no markup.
"""

# SPDX-License-Identifier: Apache-2.0
"""What the kernel says: its log, its taints, and the errno that a system call is refused with."""

# SPDX-License-Identifier: Apache-2.0
"""What modules are compiled against: prototypes, structures, printk formats."""

# SPDX-License-Identifier: Apache-2.0
"""What modules are compiled against.

prototype, function_table   the kernel functions that there are, each with its prototype
structures                  where the fields of the kernel's structures are
printf                      the formats of printk
"""

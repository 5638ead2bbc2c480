# SPDX-License-Identifier: Apache-2.0
"""The kernel functions that modules call: a file for each family, declared with their prototypes."""

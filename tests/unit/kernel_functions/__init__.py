# SPDX-License-Identifier: Apache-2.0
"""A test for each family of the emulated kernel's functions (kmodd/kernel/emulated/api)."""

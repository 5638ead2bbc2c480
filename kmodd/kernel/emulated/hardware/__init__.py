# SPDX-License-Identifier: Apache-2.0
"""The emulated hardware: an x86-64 processor, its memory, and what a device says it is."""

# SPDX-License-Identifier: Apache-2.0
"""kmodd: a daemon that owns the kernel module namespace."""

__version__ = "0.1.0"

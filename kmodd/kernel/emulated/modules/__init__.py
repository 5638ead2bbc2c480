# SPDX-License-Identifier: Apache-2.0
"""A module's file and its place in the kernel: what the file says, and ``struct module``."""

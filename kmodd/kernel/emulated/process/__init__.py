# SPDX-License-Identifier: Apache-2.0
"""The kernel in a process of its own: its boots, and how it is spoken to."""

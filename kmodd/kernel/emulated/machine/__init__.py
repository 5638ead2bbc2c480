# SPDX-License-Identifier: Apache-2.0
"""The kernel that runs on the hardware: calls into modules, tasks, allocations, what goes wrong."""

# SPDX-License-Identifier: Apache-2.0
"""The system calls that change the table of modules, and what else is asked of the kernel."""

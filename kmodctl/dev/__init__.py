# SPDX-License-Identifier: Apache-2.0
"""What ``kmodctl dev`` consists of: sources that are watched, built, and run in a kernel.

Only that command imports anything from here.
"""

# SPDX-License-Identifier: Apache-2.0
"""What ``kmodctl graph`` consists of: who needs whom, gathered and drawn.

Only that command imports anything from here.
"""

# SPDX-License-Identifier: Apache-2.0
"""A load, step by step: what ``load_module`` does, checks and refuses (kernel/module/main.c)."""

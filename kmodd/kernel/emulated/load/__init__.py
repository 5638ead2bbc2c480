# SPDX-License-Identifier: Apache-2.0
"""A load, step by step: what ``load_module`` does, checks and refuses (kernel/module/main.c).

load_module                 the steps in their order
headers, signature, checks  what speaks against a file
symbols                     what it takes from others, and what it exports
boot_command_line           what the kernel's command line says to the loader
"""

# SPDX-License-Identifier: Apache-2.0
"""What a kernel is before it has loaded a module.

vmlinux                     its symbols, version magic, built-in modules
source                      where these are known from: its image, its build, its modules
kernel_types                how its structures are laid out, and where that is known from
build_options               its configuration, as far as the loader minds it
certificates                those of the keys that its modules are signed with
"""

# SPDX-License-Identifier: Apache-2.0
"""The real kernel of a module tree, booted in QEMU: a guest without disk and network."""

# SPDX-License-Identifier: Apache-2.0
"""Read a kernel's image: what it exports, trusts, and is made of, in its own word.

Nothing here knows an emulator, a daemon or a thread. Whatever an image claims is checked before it
is used: the only error is KernelImageError, and time and memory are bounded.
"""

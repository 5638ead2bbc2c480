# SPDX-License-Identifier: Apache-2.0
"""Memory that is freed, and what comes of it in a process that ends with its rebuild."""

_LARGEST = 31 << 20
"""Bytes of the largest piece that is used again; glibc goes no further than 32 MiB."""


def keep_freed_memory() -> None:
    """Have this process keep some 64 MB of what it frees, for what it needs next.

    An image is unpacked into memory that would go back to the kernel at once, which then clears
    each of its pages for the next image. glibc's malloc keeps pieces of the size of the largest
    that it had from the kernel by itself and was given back (mallopt(3), M_MMAP_THRESHOLD), and
    twice as much in all. Nobody touches that one. It is not for a process that goes on.
    """
    bytes(_LARGEST)

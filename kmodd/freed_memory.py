# SPDX-License-Identifier: Apache-2.0
"""What comes of memory that is freed: it is kept for what is needed next, or given back."""

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


def give_memory_back() -> None:
    """Give the system back what is free within this process, where its C library can."""
    # Imported only here: a process that keeps its memory has no time to lose with them.
    import ctypes

    from kmodd.confinement import libc

    trim = getattr(libc, "malloc_trim", None)  # which is glibc's
    if trim is not None:
        trim(ctypes.c_size_t(0))

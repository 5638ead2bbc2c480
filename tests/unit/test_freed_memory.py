# SPDX-License-Identifier: Apache-2.0
"""What a process frees that ends with its rebuild is used again."""

import mmap
import subprocess
import sys

from tests.support.sources import PROJECT

FAULTS = """
import ctypes, resource, sys
from kmodd.freed_memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: a fault is a page
if sys.argv[1:]:
    keep_freed_memory()
before = faults()
for size in range(1, 25):
    b"x" * (size << 20)
print(faults() - before)
"""

MIB = (1 << 20) // mmap.PAGESIZE


def faults(*words: str) -> int:
    """Pages that are had from the kernel for images of 1 to 24 MiB, one after the other."""
    command = [sys.executable, "-c", FAULTS, *words]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_one_image_after_the_other_is_unpacked_into_the_same_memory() -> None:
    assert faults("kept") < 2 * 24 * MIB
    assert faults() > 100 * MIB

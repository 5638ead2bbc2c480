# SPDX-License-Identifier: Apache-2.0
"""Which module files the emulated kernel keeps at hand."""

import pytest

from kmodd.errors import ModuleFileError
from kmodd.kernel.emulated.recent import LARGEST, ROOM, RecentFiles
from tests.support.elf_writer import ModuleSpec, write_module

IMAGE = write_module(ModuleSpec())


def test_a_file_is_read_once_and_used_by_one_load_at_a_time() -> None:
    files = RecentFiles()
    first = files.take(IMAGE)
    assert files.take(IMAGE) is not first
    symbols = first.symbols()
    files.put_back(IMAGE, first)
    again = files.take(bytes(bytearray(IMAGE)))
    assert again is first
    assert again.symbols() is symbols
    assert files.take(IMAGE) is not first


def test_what_is_no_module_is_refused_each_time() -> None:
    files = RecentFiles()
    for _ in range(2):
        with pytest.raises(ModuleFileError):
            files.take(b"\x7fELF")


def test_there_is_room_for_so_much_and_the_oldest_goes_first() -> None:
    files = RecentFiles()
    count = 2 * ROOM // LARGEST
    images = [IMAGE + bytes([number]) * (LARGEST - len(IMAGE)) for number in range(count)]
    kept = [files.take(image) for image in images]
    for image, file in zip(images, kept, strict=True):
        files.put_back(image, file)
        files.put_back(image, file)
    here = [files.take(image) is file for image, file in zip(images, kept, strict=True)]
    assert here == [False] * (count // 2) + [True] * (count // 2)


def test_a_large_file_is_not_kept() -> None:
    files = RecentFiles()
    image = IMAGE + bytes(LARGEST)
    file = files.take(image)
    files.put_back(image, file)
    assert files.take(image) is not file

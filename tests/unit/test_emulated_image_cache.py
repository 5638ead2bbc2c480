# SPDX-License-Identifier: Apache-2.0
"""Which module files the emulated kernel keeps at hand, and what it finds out about one once."""

from dataclasses import replace

from kmodd.kernel.emulated import Vmlinux
from kmodd.kernel.emulated.load.headers import set_up
from kmodd.kernel.emulated.modules.image_cache import LARGEST, ROOM, ImageCache
from kmodd.kernel.emulated.modules.load_info import LoadInfo
from kmodd.modulefile import ModuleFile
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.emulated import vmlinux
from tests.support.param_writer import Param

IMAGE = write_module(ModuleSpec(parameters=(Param("level", "int"),)))
VMLINUX = vmlinux()


def opened(under: Vmlinux = VMLINUX) -> LoadInfo:
    return LoadInfo(set_up(ModuleFile.parse(IMAGE), under, lambda *_: None), under)


def test_a_file_is_used_by_one_load_at_a_time() -> None:
    files, file = ImageCache(), opened()
    assert files.take(IMAGE, VMLINUX) is None
    files.put_back(IMAGE, file)
    assert files.take(bytes(bytearray(IMAGE)), VMLINUX) is file
    assert files.take(IMAGE, VMLINUX) is None


def test_a_kernel_that_has_changed_reads_it_anew() -> None:
    files, changed = ImageCache(), replace(VMLINUX)
    files.put_back(IMAGE, opened())
    assert files.take(IMAGE, changed) is None
    assert files.take(IMAGE, VMLINUX) is None
    file = opened(changed)
    files.put_back(IMAGE, file)
    assert files.take(IMAGE, changed) is file


def test_what_a_file_says_is_found_out_once() -> None:
    file = opened()
    assert file.symbols is file.symbols
    assert file.layout(versions_ignored=False) is file.layout(versions_ignored=False)
    assert file.layout(versions_ignored=True) is not file.layout(versions_ignored=False)
    assert file.versions(ignored=False) is file.versions(ignored=False)
    assert file.versions(ignored=True).crcs is None


def test_parameters_are_each_loads_own() -> None:
    file = opened()
    (first,) = file.parameters()
    first.value = "7"
    (second,) = file.parameters()
    assert second.value == "0"


def test_there_is_room_for_so_much_and_the_oldest_goes_first() -> None:
    files, file = ImageCache(), opened()
    count = 2 * ROOM // LARGEST
    images = [IMAGE + bytes([number]) * (LARGEST - len(IMAGE)) for number in range(count)]
    for image in images:
        files.put_back(image, file)
        files.put_back(image, file)
    here = [files.take(image, VMLINUX) is file for image in images]
    assert here == [False] * (count // 2) + [True] * (count // 2)


def test_a_large_file_is_not_kept() -> None:
    files = ImageCache()
    image = IMAGE + bytes(LARGEST)
    files.put_back(image, opened())
    assert files.take(image, VMLINUX) is None

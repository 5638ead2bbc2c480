# SPDX-License-Identifier: Apache-2.0
"""Opening a module: by its path, by a descriptor, from bytes; compressed or not."""

import os
from pathlib import Path

import pytest

from kmodd.errors import ModuleFileError
from kmodd.modulefile import (
    Compression,
    ModuleFile,
)
from tests.support.compression import SUFFIXES, compress
from tests.support.elf_writer import (
    Export,
    ModuleSpec,
    write_module,
)


@pytest.mark.parametrize("compression", Compression)
def test_compression_is_told_by_content_and_not_by_name(
    compression: Compression, tmp_path: Path
) -> None:
    image = write_module(ModuleSpec(exports=(Export("shared"),)))
    path = tmp_path / "some-name.ko"
    path.write_bytes(compress(image, compression))

    with ModuleFile.open(path) as module:
        assert module.compression is compression
        assert module.image == image
        assert module.symbol_crcs() == (("shared", 0x12345678),)
        assert module.name == "some_name"
        assert module.path == str(path)


@pytest.mark.parametrize(("compression", "suffix"), SUFFIXES.items())
def test_name_is_the_files(compression: Compression, suffix: str) -> None:
    data = compress(write_module(ModuleSpec(name="inside")), compression)
    module = ModuleFile.parse(data, path=f"/lib/modules/1.0/snd-hda-intel{suffix}")

    assert module.name == "snd_hda_intel"
    assert module.this_module_name() == "inside"


def test_bytes_without_a_path_have_no_name_and_no_status() -> None:
    module = ModuleFile.parse(write_module(ModuleSpec()))

    assert (module.path, module.name, module.stat) == ("", "", None)


def test_status_is_that_of_the_opened_file(tmp_path: Path) -> None:
    path = tmp_path / "m.ko"
    path.write_bytes(write_module(ModuleSpec()))
    with ModuleFile.open(path) as module:
        path.unlink()
        assert module.stat is not None
        assert module.stat.st_size == len(module.image)
        assert module.stat.st_nlink == 1


def test_descriptor_stays_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "m.ko"
    path.write_bytes(write_module(ModuleSpec()))
    with path.open("rb") as file:
        with ModuleFile.from_fd(file.fileno(), path="m.ko") as module:
            assert module.this_module_name() == "sample"
        assert file.read(4) == b"\x7fELF"


@pytest.mark.parametrize("content", [b"", b"not a module", b"\x1f\x8b\x08", b"\x7fELF"])
def test_no_descriptor_is_left_open_where_opening_fails(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.ko"
    path.write_bytes(content)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ModuleFileError) as failure:
        ModuleFile.open(path)

    assert os.listdir("/proc/self/fd") == before
    assert failure.value.path == str(path)


def test_closed_module_answers_no_more(tmp_path: Path) -> None:
    path = tmp_path / "m.ko"
    path.write_bytes(write_module(ModuleSpec()))
    module = ModuleFile.open(path)
    module.close()
    module.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        module.modinfo()


def test_file_that_shrinks_while_it_is_open_is_a_module_that_lies(tmp_path: Path) -> None:
    path = tmp_path / "m.ko"
    path.write_bytes(write_module(ModuleSpec()))
    with ModuleFile.open(path) as module:
        os.truncate(path, 100)
        with pytest.raises(ModuleFileError, match="past the end of the file"):
            module.modinfo()


def test_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ModuleFile.open(tmp_path / "none.ko")


def test_only_regular_files_are_modules(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.ko")
    for path in (tmp_path, tmp_path / "fifo.ko", Path("/dev/zero")):
        with pytest.raises(ModuleFileError, match="not a regular file"):
            ModuleFile.open(path)

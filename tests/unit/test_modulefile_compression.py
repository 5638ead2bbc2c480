# SPDX-License-Identifier: Apache-2.0
"""Compressed modules: of every kind, in several streams, damaged, and hostile."""

import ctypes
import errno
import gzip
import os
import random
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from kmodd.errors import ModuleFileError, Reason
from kmodd.modulefile import Compression, ModuleFile, detect_compression
from kmodd.modulefile.decompression import decompress
from tests.support.compression import (
    LARGEST_DICTIONARY,
    compress,
    xz_with_dictionary,
    zstd_with_window,
)
from tests.support.elf_writer import ModuleSpec, write_module

COMPRESSED = [Compression.GZIP, Compression.XZ, Compression.ZSTD]
DATA = random.Random(1).randbytes(300_000) + bytes(3_000_000)


@pytest.mark.parametrize("compression", Compression)
def test_each_compression_is_detected_and_undone(compression: Compression) -> None:
    packed = compress(DATA, compression)

    assert detect_compression(packed[:6]) is compression
    assert decompress(packed, path="m.ko") == DATA


@pytest.mark.parametrize("compression", COMPRESSED)
def test_several_streams_are_one_file(compression: Compression) -> None:
    parts = (DATA[:100], b"", DATA[100:200_000], DATA[200_000:])
    packed = b"".join(compress(part, compression) for part in parts)

    assert decompress(packed, path="m.ko") == DATA


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.XZ])
def test_zeros_may_pad_streams(compression: Compression) -> None:
    packed = (
        compress(b"one", compression) + bytes(8) + compress(b"two", compression) + bytes(70_000)
    )

    assert decompress(packed, path="m.ko") == b"onetwo"


def test_zstd_frames_to_skip_are_skipped() -> None:
    skippable = struct.pack("<II", 0x184D2A50, 3) + b"abc"
    packed = compress(b"one", Compression.ZSTD) + skippable + compress(b"two", Compression.ZSTD)

    assert decompress(packed, path="m.ko") == b"onetwo"


@pytest.mark.parametrize("compression", COMPRESSED)
def test_truncated_stream_is_an_error_that_names_the_file(compression: Compression) -> None:
    packed = compress(DATA, compression)
    for size in (6, 7, 12, 20, 1000, len(packed) // 2, len(packed) - 1):
        with pytest.raises(ModuleFileError, match=r"^a/m\.ko: .*truncated") as failure:
            decompress(packed[:size], path="a/m.ko")
        assert failure.value.reason is Reason.INVALID_MODULE_FILE


@pytest.mark.parametrize("compression", COMPRESSED)
def test_damaged_stream_is_an_error(compression: Compression) -> None:
    packed = bytearray(compress(DATA, compression))
    packed[len(packed) // 2] ^= 0xFF

    with pytest.raises(ModuleFileError, match=rf"m\.ko: damaged {compression.value} stream"):
        decompress(bytes(packed), path="m.ko")


@pytest.mark.parametrize(
    ("compression", "behind"),
    [
        (Compression.XZ, b"and something else"),
        (Compression.XZ, b"\0\0\0"),
        (Compression.XZ, bytes(5) + compress(b"more", Compression.XZ)),
        (Compression.ZSTD, b"and something else"),
        (Compression.ZSTD, b"\0"),
        (Compression.ZSTD, bytes(8)),
        (Compression.ZSTD, bytes(8) + compress(b"more", Compression.ZSTD)),
    ],
)
def test_data_after_the_stream_is_an_error(compression: Compression, behind: bytes) -> None:
    packed = compress(b"module", compression) + behind

    with pytest.raises(ModuleFileError, match=rf"damaged {compression.value} stream") as failure:
        decompress(packed, path="m.ko")
    assert failure.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    "behind",
    [
        b"and something else",
        b"\x1f",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\0\0\0\0\0\0",
        bytes(7),
        bytes(9) + b"x",
    ],
)
def test_what_follows_gzip_members_and_is_none_is_ignored(behind: bytes) -> None:
    packed = compress(b"one", Compression.GZIP) + compress(b"two", Compression.GZIP)

    assert decompress(packed + behind, path="m.ko") == b"onetwo"
    assert zlibs_reading(packed + behind) == b"onetwo"


def zlibs_reading(packed: bytes) -> bytes:
    """What zlib's gzread, which kmod calls, makes of a file."""
    zlib_itself = ctypes.CDLL("libz.so.1")
    zlib_itself.gzdopen.restype = ctypes.c_void_p
    zlib_itself.gzread.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint)
    zlib_itself.gzclose.argtypes = (ctypes.c_void_p,)
    fd = os.memfd_create("packed")
    os.write(fd, packed)
    os.lseek(fd, 0, os.SEEK_SET)
    file = zlib_itself.gzdopen(fd, b"rb")
    room = ctypes.create_string_buffer(100)
    size = zlib_itself.gzread(file, room, len(room))
    zlib_itself.gzclose(file)
    return room.raw[:size]


def test_a_gzip_member_behind_the_first_may_be_damaged() -> None:
    packed = compress(b"one", Compression.GZIP) + b"\x1f\x8b" + b"and something else"

    with pytest.raises(ModuleFileError, match="damaged gzip stream"):
        decompress(packed, path="m.ko")


@pytest.mark.parametrize("compression", Compression)
def test_limit_is_the_size_that_is_still_allowed(compression: Compression) -> None:
    packed = compress(DATA, compression)

    assert decompress(packed, path="m.ko", limit=len(DATA)) == DATA
    with pytest.raises(ModuleFileError) as failure:
        decompress(packed, path="m.ko", limit=len(DATA) - 1)
    assert failure.value.reason is Reason.IMAGE_TOO_LARGE


@pytest.mark.parametrize("compression", COMPRESSED)
def test_bomb_ends_at_the_limit_without_taking_more_memory(compression: Compression) -> None:
    limit = 8 << 20
    bomb = compress(bytes(64 << 20), compression)
    tracemalloc.start()
    try:
        with pytest.raises(ModuleFileError) as failure:
            decompress(bomb, path="bomb.ko", limit=limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert failure.value.reason is Reason.IMAGE_TOO_LARGE
    assert peak < limit * 1.5


@pytest.mark.parametrize("compression", COMPRESSED)
def test_bomb_of_many_streams_ends_at_the_limit(compression: Compression) -> None:
    bomb = 40 * compress(bytes(1 << 20), compression)

    with pytest.raises(ModuleFileError) as failure:
        decompress(bomb, path="bomb.ko", limit=4 << 20)
    assert failure.value.reason is Reason.IMAGE_TOO_LARGE


@pytest.mark.parametrize("compression", COMPRESSED)
def test_endless_row_of_empty_streams_is_refused(compression: Compression) -> None:
    with pytest.raises(ModuleFileError, match="more than 4096"):
        decompress(20_000 * compress(b"", compression), path="m.ko")


@pytest.mark.parametrize("code", [LARGEST_DICTIONARY, LARGEST_DICTIONARY - 1, 30])
def test_xz_may_ask_for_any_dictionary(code: int) -> None:
    assert decompress(xz_with_dictionary(DATA, code), path="m.ko") == DATA


def test_zstd_of_known_size_may_ask_for_any_window() -> None:
    assert decompress(zstd_with_window(DATA, 31), path="m.ko") == DATA
    large = bytes(5 << 20)
    assert decompress(zstd_with_window(large, 28), path="m.ko") == large


def test_zstd_of_unknown_size_may_not_ask_for_a_huge_window() -> None:
    packed = zstd_with_window(DATA, 28, tells_size=False)

    with pytest.raises(ModuleFileError, match="damaged zstd stream"):
        decompress(packed, path="m.ko")
    assert decompress(zstd_with_window(DATA, 27, tells_size=False), path="m.ko") == DATA


@pytest.mark.parametrize(
    "packed",
    [xz_with_dictionary(DATA, LARGEST_DICTIONARY), zstd_with_window(DATA, 31)],
    ids=["xz", "zstd"],
)
def test_no_more_memory_is_used_than_the_image_has_bytes(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(packed)
    script = """if True:
        import resource, sys
        from pathlib import Path
        from kmodd.modulefile.decompression import decompress
        packed = Path(sys.argv[1]).read_bytes()
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = peak()
        decompress(packed, path="")
        print(peak() - before)
    """
    command = [sys.executable, "-c", script, str(tmp_path / "packed")]
    grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(grown) << 10 < 64 << 20


def test_a_dictionary_that_there_is_no_room_for_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "packed").write_bytes(xz_with_dictionary(DATA, LARGEST_DICTIONARY))
    script = """if True:
        import resource, sys
        from pathlib import Path
        from kmodd.errors import ModuleFileError
        from kmodd.modulefile.decompression import decompress
        packed = Path(sys.argv[1]).read_bytes()
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        try:
            decompress(packed, path="")
        except ModuleFileError as error:
            print(error.errno)
    """
    command = [sys.executable, "-c", script, str(tmp_path / "packed")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(said) == errno.ENOMEM


@pytest.mark.parametrize("compression", Compression)
def test_opening_a_file_past_the_limit_is_refused(compression: Compression, tmp_path: Path) -> None:
    path = tmp_path / "large.ko"
    path.write_bytes(compress(write_module(ModuleSpec(this_module_size=100_000)), compression))

    with pytest.raises(ModuleFileError) as failure:
        ModuleFile.open(path, limit=50_000)
    assert failure.value.reason is Reason.IMAGE_TOO_LARGE


def test_sparse_file_past_the_limit_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.ko.gz"
    path.write_bytes(gzip.compress(b""))
    os.truncate(path, 1 << 40)

    with pytest.raises(ModuleFileError) as failure:
        ModuleFile.open(path)
    assert failure.value.reason is Reason.IMAGE_TOO_LARGE


def test_compressed_file_inside_a_compressed_file_is_no_module() -> None:
    packed = gzip.compress(gzip.compress(write_module(ModuleSpec())))

    with pytest.raises(ModuleFileError, match="not an ELF file"):
        ModuleFile.parse(packed, path="twice.ko.gz")

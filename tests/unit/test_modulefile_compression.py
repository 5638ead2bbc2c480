# SPDX-License-Identifier: Apache-2.0
"""Compressed modules: of every kind, in several streams, damaged, and hostile."""

import gzip
import lzma
import os
import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest

from kmodd.errors import ModuleFileError, Reason
from kmodd.modulefile import Compression, ModuleFile, decompress, detect_compression
from tests.support.compression import compress
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


@pytest.mark.parametrize("compression", COMPRESSED)
def test_data_after_the_stream_is_an_error(compression: Compression) -> None:
    packed = compress(b"module", compression) + b"and something else"

    with pytest.raises(ModuleFileError, match=rf"damaged {compression.value} stream"):
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


def test_xz_that_wants_a_huge_dictionary_is_refused() -> None:
    packed = bytearray(lzma.compress(b"module", check=lzma.CHECK_CRC32))
    # The block header after the 12 bytes of the stream's: the LZMA2 filter's one property says
    # how large the dictionary is, and 40 is 4 GiB.
    header_size = 4 * (packed[12] + 1)
    assert packed[14:16] == b"\x21\x01"
    packed[16] = 40
    check = zlib.crc32(packed[12 : 12 + header_size - 4])
    packed[12 + header_size - 4 : 12 + header_size] = struct.pack("<I", check)

    with pytest.raises(ModuleFileError, match=r"damaged xz stream: .*[Mm]emory"):
        decompress(bytes(packed), path="m.ko")


def test_zstd_that_wants_a_huge_window_is_refused() -> None:
    window_of_two_gib = (31 - 10) << 3
    packed = b"\x28\xb5\x2f\xfd" + bytes([0, window_of_two_gib]) + b"\x01\x00\x00"

    with pytest.raises(ModuleFileError, match="damaged zstd stream"):
        decompress(packed, path="m.ko")


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

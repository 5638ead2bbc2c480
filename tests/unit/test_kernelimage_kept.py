# SPDX-License-Identifier: Apache-2.0
"""What is kept of an image is of that very file, or it is read anew."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from kmodd.errors import KernelImageError
from kmodd.kernelimage import reading
from kmodd.kernelimage.btf import BtfKind
from kmodd.kernelimage.facts import ImageFacts, dump_facts, load_facts, stamp_of
from kmodd.kernelimage.kept import facts_of
from kmodd.kernelimage.questions import LayoutQuestion
from kmodd.kernelimage.reading import read_facts
from tests.support.btf_writer import BtfWriter
from tests.support.kernel_image import BANNER, BASE, Linked, vmlinux_sections, write_vmlinux


class Memory:
    """Keeps bytes in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load(self, image: str) -> bytes | None:
        return self.kept.get(image)

    def save(self, image: str, data: bytes) -> None:
        self.kept[image] = data


def body_of(data: bytes) -> bytes:
    """Return what the checksum of kept bytes is of."""
    return data.split(b"\n", 2)[2]


def checked(data: bytes, body: bytes) -> bytes:
    """Return kept bytes with another body, and the checksum of that."""
    digest = hashlib.sha256(body).hexdigest().encode()
    return b"\n".join((data.split(b"\n", 1)[0], digest, body))


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "vmlinuz").write_bytes(write_vmlinux(vmlinux_sections()))
    return str(tmp_path / "vmlinuz")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the images that are read, in order."""
    read: list[str] = []

    def noted(path: str, questions: Sequence[LayoutQuestion]) -> ImageFacts:
        read.append(path)
        return read_facts(path, questions)

    monkeypatch.setattr(reading, "read_facts", noted)
    return read


def test_an_image_is_read_once(path: str, reads: list[str]) -> None:
    memory = Memory()
    first = facts_of(path, memory)
    assert facts_of(path, memory) == first == read_facts(path)
    assert reads == [path]
    facts_of(path, None)
    assert reads == [path, path]


def test_another_image_in_its_place_is_read(path: str, reads: list[str]) -> None:
    memory = Memory()
    facts_of(path, memory)
    Path(path).write_bytes(write_vmlinux(vmlinux_sections()[:-1]))
    assert facts_of(path, memory).certificates == ()
    assert facts_of(path, memory).certificates == ()
    assert reads == [path, path]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:0],
        lambda data: data[:-1],
        lambda data: data.replace(b"kernel image 4", b"kernel image 3"),
        lambda data: data.replace(b"_printk", b"_prints"),
        lambda data: checked(data, b"[]"),
        lambda data: checked(data, b"{}"),
        lambda data: checked(data, b"{"),
        lambda data: checked(data, body_of(data).replace(b'"asked":', b'"said":')),
        lambda data: checked(
            data, body_of(data).replace(b'"directories":[', b'"directories":7,"x":[')
        ),
    ],
)
def test_what_is_damaged_is_dropped(
    path: str, reads: list[str], damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    memory = Memory()
    first = facts_of(path, memory)
    memory.kept[path] = damage(memory.kept[path])
    assert facts_of(path, memory) == first
    assert reads == [path, path]
    assert f"what was kept of {path} is dropped: " in caplog.text
    assert facts_of(path, memory) == first
    assert reads == [path, path]


def test_what_is_asked_of_the_types_is_kept_with_its_answers(
    tmp_path: Path, reads: list[str]
) -> None:
    writer = BtfWriter()
    number = writer.integer("int", 4)
    writer.structure("new", 8, [("one", number, 0), ("two", number, 32), ("bits", number, 33)])
    variables = [writer.add(BtfKind.VAR, name, number, once=(1,)) for name in ("current_task", "x")]
    places = [(variables[0], 0, 8), (variables[1], 8, 65 << 10)]
    writer.add(BtfKind.DATASEC, ".data..percpu", 1 << 20, parts=places)
    writer.function("kfree", 0, number)
    path = tmp_path / "vmlinuz"
    types = Linked(".BTF", BASE + 0x40000, writer.data())
    path.write_bytes(write_vmlinux([*vmlinux_sections(), types]))
    size = LayoutQuestion(("old", "new"), (), is_size=True)
    offset = LayoutQuestion(("new",), ("first", "two"), is_size=False)
    width = LayoutQuestion(("new",), ("one",), is_size=True)
    within = LayoutQuestion(("new",), ("bits",), is_size=False)
    missing = LayoutQuestion(("old",), ("one",), is_size=False)
    memory, questions = Memory(), (size, offset, width, within, missing)
    for _ in range(2):
        found = facts_of(str(path), memory, questions)
        assert found.layouts == {size: 8, offset: 4, width: 4}
        assert found.per_cpu == {"current_task": 8}
        assert found.prototypes == {"kfree": "v4"}
    assert reads == [str(path)]
    assert facts_of(str(path), memory, (missing,)).layouts == {}
    assert facts_of(str(path), memory).layouts is None
    assert reads == [str(path)] * 3


def test_what_an_image_does_not_say_is_kept_as_such(tmp_path: Path) -> None:
    path = tmp_path / "vmlinuz"
    said = Linked(".rodata", BASE, BANNER.encode() + b"\0")
    strings = Linked("__ksymtab_strings", BASE + 0x1000, b"\0")
    for sections in ([said], [said, strings]):
        path.write_bytes(write_vmlinux(sections))
        facts, stamp = read_facts(str(path)), stamp_of(str(path))
        assert load_facts(dump_facts(facts, stamp), stamp) == facts


def test_an_image_that_is_changed_while_it_is_read_is_not_kept(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(path: str, questions: Sequence[LayoutQuestion]) -> ImageFacts:
        facts = read_facts(path, questions)
        Path(path).write_bytes(b"")
        return facts

    monkeypatch.setattr(reading, "read_facts", changed)
    memory = Memory()
    assert facts_of(path, memory).exports
    assert memory.kept == {}


def test_an_image_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KernelImageError, match="it cannot be read: No such file"):
        facts_of(str(tmp_path / "none"), Memory())

# SPDX-License-Identifier: Apache-2.0
"""Where it is known from how a release's structures are laid out, and what comes of it if not."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kmodd.kernel.base import InitState, InsertFlags
from kmodd.kernel.emulated import EmulatedKernel, Vmlinux, VmlinuxSource
from kmodd.kernel.emulated.release import kernel_types
from kmodd.kernelimage.btf import BtfKind
from kmodd.kernelimage.places import TYPES_PLACES
from kmodd.kernelimage.questions import LayoutQuestion
from kmodd.places import modules_directory
from kmodd.state import ImageStore
from tests.support.btf_writer import BtfWriter
from tests.support.elf_writer import VERMAGIC, ModuleSpec, write_module
from tests.support.emulated import vmlinux
from tests.support.kernel_image import Linked, vmlinux_sections, write_vmlinux
from tests.support.require import require_emulator

OF_6_2 = "6.2.0-test"
STATE = LayoutQuestion(("task_struct",), ("__state", "state"), is_size=False)


def types(state: int = 24, *, per_cpu: bool = True) -> bytes:
    """Return the types of a kernel whose tasks have their state at that byte."""
    writer = BtfWriter()
    number = writer.integer("int", 4)
    writer.structure("task_struct", 64, [("__state", number, 8 * state)])
    if per_cpu:
        variable = writer.add(BtfKind.VAR, "this_cpu_off", number, once=(1,))
        writer.add(BtfKind.DATASEC, ".data..percpu", 8, parts=[(variable, 0, 4)])
    return writer.data()


def with_types(data: bytes, *others: Linked) -> bytes:
    return write_vmlinux([Linked(".BTF", 0, data), *others])


def put(root: Path, place: str, data: bytes, release: str = OF_6_2) -> Path:
    path = root / place.format(release=release)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def kernel_of(root: Path, release: str = OF_6_2) -> Vmlinux:
    trees = Path(modules_directory(str(root)))
    return VmlinuxSource(root, release, trees, dict)()


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have this machine's kernel be a 6.2, and return the file with its types."""
    path = tmp_path / "running"
    path.write_bytes(types(32))
    monkeypatch.setattr(kernel_types, "RUNNING_TYPES", str(path))
    found = SimpleNamespace(release=OF_6_2, machine="x86_64")
    monkeypatch.setattr(os, "uname", lambda: found)
    return path


def test_of_6_1_alone_it_is_known_without_any_file(tmp_path: Path) -> None:
    assert kernel_of(tmp_path, "6.1.0-9-amd64").why_not_run == ""
    for release in ("6.0.0", "6.10.0", "6.12.43+deb13-amd64", "5.10.0", "custom"):
        why = f"nothing tells of the structures of {release}: there is no image of its kernel"
        assert kernel_of(tmp_path, release).why_not_run == why


def test_the_running_kernel_tells_of_its_own_release_alone(tmp_path: Path, running: Path) -> None:
    told = kernel_of(tmp_path)
    assert told.layouts == {STATE: 32}
    assert told.per_cpu == {"this_cpu_off": 4}
    assert told.why_not_run == ""
    assert kernel_of(tmp_path, "6.2.1-test").layouts is None
    running.unlink()
    assert kernel_of(tmp_path).layouts is None


@pytest.mark.usefixtures("running")
def test_the_running_kernel_of_another_machine_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(release=OF_6_2, machine="aarch64")
    monkeypatch.setattr(os, "uname", lambda: found)
    assert kernel_of(tmp_path).layouts is None


@pytest.mark.usefixtures("running")
def test_the_image_goes_before_the_running_kernel_and_that_before_files(tmp_path: Path) -> None:
    put(tmp_path, TYPES_PLACES[1], with_types(types(40)))
    assert kernel_of(tmp_path).layouts == {STATE: 32}
    put(
        tmp_path,
        "boot/vmlinuz-{release}",
        with_types(types(16), *vmlinux_sections(OF_6_2)),
    )
    assert kernel_of(tmp_path).layouts == {STATE: 16}


@pytest.mark.parametrize("place", [*TYPES_PLACES, f"usr/{TYPES_PLACES[0]}"])
def test_a_vmlinux_of_headers_or_for_debuggers_tells(tmp_path: Path, place: str) -> None:
    put(tmp_path, place, with_types(types(40)))
    told = kernel_of(tmp_path)
    assert (told.layouts, told.why_not_run) == ({STATE: 40}, "")
    assert kernel_of(tmp_path, "6.2.1-test").layouts is None


def test_an_image_without_types_leaves_them_to_others(tmp_path: Path) -> None:
    put(tmp_path, "boot/vmlinuz-{release}", write_vmlinux(vmlinux_sections(OF_6_2)))
    assert kernel_of(tmp_path).why_not_run == (
        f"nothing tells of the structures of {OF_6_2}: the kernel's image has no types (.BTF)"
    )
    put(tmp_path, TYPES_PLACES[2], with_types(types(40), *vmlinux_sections(OF_6_2)))
    assert kernel_of(tmp_path).layouts == {STATE: 40}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (with_types(types(), *vmlinux_sections("6.2.1")), "it is not of 6.2.0-test, but of 6.2.1"),
        (write_vmlinux([Linked(".data", 0, b"x")]), "it has no types"),
        (with_types(types())[:-100], "reach past the end of the file"),
        (with_types(types()[:-40]), ""),
        (with_types(types(per_cpu=False)), "does not list the variables of each processor"),
        (b"nonsense", "neither a kernel nor"),
    ],
)
def test_a_vmlinux_that_is_of_no_use_is_told_of(tmp_path: Path, data: bytes, why: str) -> None:
    path = put(tmp_path, TYPES_PLACES[0], data)
    told = kernel_of(tmp_path)
    assert (told.layouts, told.per_cpu) == (None, {})
    assert why in told.why_not_run
    assert str(path) in told.why_not_run


def test_why_an_image_is_of_no_use_is_why_no_code_is_run(tmp_path: Path) -> None:
    path = put(tmp_path, "boot/vmlinuz-{release}", b"nonsense")
    assert str(path) in kernel_of(tmp_path).why_not_run
    put(tmp_path, "boot/vmlinuz-{release}", write_vmlinux(vmlinux_sections("6.3.0")))
    why = kernel_of(tmp_path).why_not_run
    assert why.endswith(f"{path} is no image of {OF_6_2}, but of 6.3.0")


def test_what_a_file_of_types_answers_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, TYPES_PLACES[1], with_types(types(40)))
    store = ImageStore(tmp_path / "state")
    trees = tmp_path / "lib/modules"
    first = VmlinuxSource(tmp_path, OF_6_2, trees, dict, store)()
    monkeypatch.delattr("kmodd.kernelimage.reading.read_types")
    assert VmlinuxSource(tmp_path, OF_6_2, trees, dict, store)() == first


@pytest.mark.parametrize("where", ["of the root", "of the machine"])
def test_an_absolute_link_to_a_build_is_of_the_root_or_else_of_the_machine(
    tmp_path: Path, where: str
) -> None:
    root, build = tmp_path / "root", tmp_path / "build"
    (root / "lib/modules" / OF_6_2).mkdir(parents=True)
    (root / "lib/modules" / OF_6_2 / "build").symlink_to(build)
    put(build, "vmlinux", with_types(types(40)))
    if where == "of the root":
        put(root / str(build).lstrip("/"), "vmlinux", with_types(types(48)))
    assert kernel_of(root).layouts == {STATE: 48 if where == "of the root" else 40}


def test_no_code_is_run_where_nobody_knows_the_structures() -> None:
    require_emulator()
    unknown = vmlinux("6.2.0", vermagic=VERMAGIC, untold="a reason")
    one = EmulatedKernel("6.2.0", lambda: unknown, run_code=True)
    assert not one.runs_init
    assert one.why_not_run == "nothing tells of the structures of 6.2.0: a reason"
    one.init_module(write_module(ModuleSpec()), "", InsertFlags.NONE)
    report = one.modules()[0].report
    assert report is not None
    assert (report.init, report.why_not_run) == (InitState.NOT_RUN, one.why_not_run)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ((), "lib/modules"),
        (("lib/modules",), "lib/modules"),
        (("usr/lib/modules",), "usr/lib/modules"),
        (("lib", "usr/lib/modules"), "usr/lib/modules"),
        (("lib/modules", "usr/lib/modules"), "lib/modules"),
    ],
)
def test_trees_are_where_packages_have_them(
    tmp_path: Path, made: tuple[str, ...], found: str
) -> None:
    for each in made:
        (tmp_path / each).mkdir(parents=True)
    assert modules_directory(str(tmp_path)) == str(tmp_path / found)

# SPDX-License-Identifier: Apache-2.0
"""Where the emulated kernel's own symbols come from."""

import errno
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from kmodd.database import ModuleRecord
from kmodd.errors import Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import EmulatedKernel
from kmodd.kernel.emulated.release.build_options import BuildOptions, parse_build_options
from kmodd.kernel.emulated.release.source import VmlinuxSource
from kmodd.kernel.emulated.release.vmlinux import (
    FROM_MODULES,
    CoreSymbol,
    MachineType,
    Sample,
    Vmlinux,
)
from kmodd.state import ImageStore
from tests.support.elf_writer import Import, ModuleSpec, append_signature, write_module
from tests.support.emulated import refusal
from tests.support.kernel_image import (
    EXPORTS,
    VERMAGIC,
    bz_image,
    pack,
    vmlinux_sections,
    write_vmlinux,
)
from tests.support.kernel_image import RELEASE as OF_IMAGE
from tests.support.modules import SOURCES
from tests.support.records import RELEASE, record
from tests.support.signatures import signature_by

SYMVERS = (
    "0x1234\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x5678\tgpl_do\tvmlinux\tEXPORT_SYMBOL_GPL\tSPACE\n"
    "0x9\tmodule_do\tdrivers/some\tEXPORT_SYMBOL\t\n"
    "nonsense\n"
    "0xzz\tbad\tvmlinux\tEXPORT_SYMBOL\t\n"
)


IMAGE = bz_image(pack(write_vmlinux(vmlinux_sections()), "zstd"))


def modules(*records: ModuleRecord) -> Mapping[str, ModuleRecord]:
    return {each.name: each for each in records}


def test_a_symvers_tells_the_kernels_own_symbols(tmp_path: Path) -> None:
    place = tmp_path / f"lib/modules/{RELEASE}/build"
    place.mkdir(parents=True)
    (place / "Module.symvers").write_text(SYMVERS)
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path / "lib/modules", modules)()
    assert vmlinux.symbols == {
        "_printk": CoreSymbol(0x1234),
        "gpl_do": CoreSymbol(0x5678, gpl_only=True, namespace="SPACE"),
    }


@pytest.mark.parametrize(
    "place", [f"lib/modules/{RELEASE}/build", f"usr/src/linux-headers-{RELEASE}"]
)
def test_a_symvers_under_the_root_goes_before_guesses(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "Module.symvers").write_text(SYMVERS)
    tree = modules(record("greet", needs=["nosuch"]))
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path / "lib/modules", lambda: tree)()
    assert set(vmlinux.symbols) == {"_printk", "gpl_do"}
    assert vmlinux.source == str(tmp_path / place / "Module.symvers")


def test_an_absolute_link_to_the_headers_stays_in_the_root(tmp_path: Path) -> None:
    headers = tmp_path / "usr/src/headers"
    headers.mkdir(parents=True)
    (headers / "Module.symvers").write_text(SYMVERS)
    tree = tmp_path / "lib/modules" / RELEASE
    tree.mkdir(parents=True)
    (tree / "build").symlink_to("/usr/src/headers")
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path / "lib/modules", dict)()
    assert set(vmlinux.symbols) == {"_printk", "gpl_do"}


def image_in(root: Path, release: str = OF_IMAGE, data: bytes = IMAGE) -> Path:
    """Put the small kernel's image into a root as that of ``release``."""
    path = root / f"boot/vmlinuz-{release}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_image_goes_before_a_symvers_and_before_guesses(tmp_path: Path) -> None:
    place = tmp_path / f"lib/modules/{OF_IMAGE}/build"
    place.mkdir(parents=True)
    (place / "Module.symvers").write_text(SYMVERS)
    path = image_in(tmp_path)
    tree = modules(record("greet", needs=["nosuch"]))
    vmlinux = VmlinuxSource(tmp_path, OF_IMAGE, tmp_path / "lib/modules", lambda: tree)()
    assert vmlinux.symbols == {
        name: CoreSymbol(crc, gpl_only, namespace) for name, crc, gpl_only, namespace in EXPORTS
    }
    assert vmlinux.source == str(path)
    assert vmlinux.vermagic == VERMAGIC


def test_what_the_image_does_not_export_is_an_unknown_symbol(tmp_path: Path) -> None:
    image_in(tmp_path)
    tree = modules(record("user", needs=["nosuch"]))
    source = VmlinuxSource(tmp_path, OF_IMAGE, tmp_path / "lib/modules", lambda: tree)
    spec = ModuleSpec(imports=(Import("nosuch_do"),), vermagic=VERMAGIC, versions=())
    error = refusal(EmulatedKernel(OF_IMAGE, source), write_module(spec))
    assert (error.reason, error.symbol) == (Reason.UNKNOWN_SYMBOL, "nosuch_do")


def test_the_image_tells_which_parts_of_the_kernel_have_a_directory(tmp_path: Path) -> None:
    directory = tmp_path / "lib/modules" / OF_IMAGE
    directory.mkdir(parents=True)
    (directory / "modules.builtin").write_text("kernel/mm/kfence/core.ko\nkernel/loud.ko\n")
    (directory / "modules.builtin.modinfo").write_bytes(b"core.parmtype=quiet:int\0")
    image_in(tmp_path)
    source = VmlinuxSource(tmp_path, OF_IMAGE, tmp_path / "lib/modules", dict)
    assert source().builtins.names == {"core", "loud"}
    assert source().builtins.with_directory == {"kernel", "loud", "with_version"}
    one = EmulatedKernel(OF_IMAGE, source)
    error = refusal(one, write_module(ModuleSpec(name="loud", vermagic=VERMAGIC, versions=())))
    assert error.errno == errno.EINVAL
    one.init_module(
        write_module(ModuleSpec(name="core", vermagic=VERMAGIC, versions=())), "", InsertFlags.NONE
    )
    assert [each.name for each in one.modules()] == ["core"]


@pytest.mark.parametrize(
    ("release", "data", "why"),
    [
        (OF_IMAGE, IMAGE[:-2000], "tells nothing: .*is not within the file"),
        (OF_IMAGE, b"", "tells nothing: .*neither a kernel nor"),
        ("6.2.0", IMAGE, f"is no image of 6.2.0, but of {OF_IMAGE}"),
    ],
)
def test_an_image_that_is_of_no_use_is_told_of_and_done_without(
    tmp_path: Path, release: str, data: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    image_in(tmp_path, release, data)
    tree = modules(record("greet", needs=["printk"]))
    vmlinux = VmlinuxSource(tmp_path, release, tmp_path / "lib/modules", lambda: tree)()
    assert set(vmlinux.symbols) == {"printk_do"}
    assert vmlinux.source == FROM_MODULES
    assert re.search(why, caplog.text)


def test_a_start_reads_no_image_that_an_earlier_one_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image_in(tmp_path)
    store = ImageStore(tmp_path / "state")
    trees = tmp_path / "lib/modules"
    first = VmlinuxSource(tmp_path, OF_IMAGE, trees, dict, store)()
    monkeypatch.delattr("kmodd.kernelimage.reading.read_facts")
    assert VmlinuxSource(tmp_path, OF_IMAGE, trees, dict, store)() == first
    path.touch()
    with pytest.raises(ImportError):
        VmlinuxSource(tmp_path, OF_IMAGE, trees, dict, store)


def test_what_the_image_tells_is_had_of_no_module(tmp_path: Path) -> None:
    trees = tmp_path / "lib/modules"
    kernel = trees / OF_IMAGE / "kernel"
    kernel.mkdir(parents=True)
    (kernel / "other.ko").write_bytes(write_module(ModuleSpec(name="other", vermagic="other")))
    (kernel / "own.ko").write_bytes(write_module(ModuleSpec(name="own", vermagic=VERMAGIC)))
    asked: list[str] = []

    def read() -> Mapping[str, ModuleRecord]:
        asked.append("read")
        return modules(record("own"))

    def listed() -> Mapping[str, ModuleRecord]:
        return modules(record("other"), record("own"))

    def source() -> VmlinuxSource:
        return VmlinuxSource(tmp_path, OF_IMAGE, trees, read, listed=listed)

    assert source()().source == FROM_MODULES
    assert asked == ["read"]
    image_in(tmp_path)
    found = source()
    first = found()
    assert asked == ["read"]
    assert set(first.symbols) == {each[0] for each in EXPORTS}
    assert first.machine == MachineType(64, "little", 62)
    assert found() is first  # though what is listed is another mapping each time


def test_without_one_the_kernel_offers_what_modules_import_and_none_exports(
    tmp_path: Path,
) -> None:
    tree = modules(record("greet", needs=["printk"]), record("world", needs=["greet", "printk"]))
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: tree)()
    assert set(vmlinux.symbols) == {"printk_do"}
    assert vmlinux.source == FROM_MODULES


def test_a_symbol_of_a_module_that_is_gone_is_not_the_kernels(tmp_path: Path) -> None:
    trees = [modules(record("greet"), record("world", needs=["greet"]))]
    source = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: trees[-1])
    assert set(source().symbols) == set()
    trees.append(modules(record("world", needs=["greet"])))
    assert set(source().symbols) == set()


def test_a_grown_tree_brings_new_symbols(tmp_path: Path) -> None:
    trees = [modules(record("greet"))]
    source = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: trees[-1])
    assert source() is source()
    trees.append(modules(record("greet"), record("world", needs=["printk"])))
    assert set(source().symbols) == {"printk_do"}


def test_a_module_of_the_tree_shows_the_kernels_machine_and_versions(tmp_path: Path) -> None:
    tree = modules(record("gone"), record("greet"))
    path = tmp_path / RELEASE / "kernel"
    path.mkdir(parents=True)
    shutil.copy(SOURCES / "greet.ko", path)
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: tree)()
    assert vmlinux.machine == MachineType(64, "little", 62)
    assert vmlinux.struct_module_size == 0x380
    assert vmlinux.sample is not None
    assert vmlinux.sample.retpoline
    assert vmlinux.sample.compiler == "GCC: (Debian 12.2.0-14+deb12u1) 12.2.0"
    assert vmlinux.symbols["module_layout"] == CoreSymbol(0x9060323F)
    assert not vmlinux.checks_signatures


def test_signed_modules_are_those_of_a_kernel_that_checks(tmp_path: Path) -> None:
    tree = modules(record("greet"))
    path = tmp_path / RELEASE / "kernel"
    path.mkdir(parents=True)
    signed = append_signature(write_module(ModuleSpec()), signature_by(b"\x12\x34"))
    (path / "greet.ko").write_bytes(signed)
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path, lambda: tree)()
    assert vmlinux.key == b"\x12\x34"
    assert vmlinux.checks_signatures


def test_the_parts_of_the_kernel_are_known(tmp_path: Path) -> None:
    (tmp_path / RELEASE).mkdir()
    (tmp_path / RELEASE / "modules.builtin").write_text("kernel/a/quiet.ko\nkernel/snd-loud.ko\n")
    (tmp_path / RELEASE / "modules.builtin.modinfo").write_bytes(
        b"quiet.license=GPL\0snd_loud.parm=volume:How loud\0snd_loud.parmtype=volume:int\0"
    )
    vmlinux = VmlinuxSource(tmp_path, RELEASE, tmp_path, dict)()
    assert vmlinux.builtins.names == {"quiet", "snd_loud"}
    assert vmlinux.builtins.with_directory == {"snd_loud"}


def test_the_kernels_configuration_is_read_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / f"config-{RELEASE}").write_text(
        "CONFIG_MODULES=y\n"
        "CONFIG_MODULE_SIG=y\n"
        "# CONFIG_MODULE_SIG_FORCE is not set\n"
        'CONFIG_CC_VERSION_TEXT="gcc-12 (Debian) 12.2.0"\n'
        "CONFIG_ARM64_64K_PAGES=y\n"
        "CONFIG_KALLSYMS=y\n"
    )
    options = VmlinuxSource(tmp_path, RELEASE, tmp_path, dict)().options
    assert options.signatures is True
    assert not options.signatures_enforced
    assert not options.force_load
    assert options.kallsyms
    assert not options.kallsyms_all
    assert options.page_size == 65536
    assert options.compiler == "gcc-12 (Debian) 12.2.0"


def test_without_a_configuration_the_kernel_is_like_a_distributions(tmp_path: Path) -> None:
    assert VmlinuxSource(tmp_path, RELEASE, tmp_path, dict)().options == BuildOptions()
    assert parse_build_options("nonsense") == BuildOptions()


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-56-amd64", (6, 1)), ("5.10", (5, 10)), ("6.12-rc3+", (6, 12)), ("mine", (99, 0))],
)
def test_the_release_tells_the_version(release: str, version: tuple[int, int]) -> None:
    assert Vmlinux(release).version == version


@pytest.mark.parametrize(
    ("release", "compiler", "refuses"),
    [
        ("6.1.0-56-amd64", "gcc-12 (Debian 12.2.0-14) 12.2.0", True),
        ("6.12.43+deb13-arm64", "GCC: (Debian 14.2.0-19) 14.2.0", True),
        ("6.1.0", "GCC: (Debian 12.2.0-14) 12.2.0", False),
        ("6.8.0-60-generic", "GCC: (Ubuntu 13.3.0) 13.3.0", False),
    ],
)
def test_debian_refuses_missing_versions(release: str, compiler: str, refuses: bool) -> None:
    vmlinux = Vmlinux(release, sample=Sample(MachineType(64, "little", 62), compiler=compiler))
    assert vmlinux.refuses_missing_versions is refuses

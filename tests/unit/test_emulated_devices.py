# SPDX-License-Identifier: Apache-2.0
"""What is told of the emulated kernel's devices and files without any code being run."""

import errno
from typing import Any

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import Emulation, KernelFile
from kmodd.kernel.emulated.hardware.modalias import PciIdentity, PlatformIdentity, parse_modalias
from kmodd.kernel.emulated.reporting.refusal import Refusal
from kmodd.kernel.emulated.system_calls.lookup import FILES_MAX, look_up
from kmodd.kernel.linux import LinuxKernel
from kmodd.namespace.context import USUAL
from kmodd.namespace.devices import Devices
from tests.support.elf_writer import ModuleSpec
from tests.support.emulated import kernel, load
from tests.support.param_writer import Param
from tests.support.require import require_emulator

FILES = (
    KernelFile("/dev/one", is_directory=False, module="a"),
    KernelFile("/proc/fs/deep/down", is_directory=False, module="b"),
    KernelFile("/proc/fs", is_directory=True, module="b"),
    KernelFile("/proc/fsx", is_directory=False, module="c"),
    KernelFile("/proc/empty", is_directory=True, module="c"),
)


def names(path: str) -> list[str]:
    return [each.path + "/" * each.is_directory for each in look_up(FILES, path)]


@pytest.mark.parametrize(
    ("modalias", "identity"),
    [
        ("platform:kmodd-gadget", PlatformIdentity("kmodd-gadget")),
        (
            "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc0Ai0F",
            PciIdentity(0x8086, 0x100E, 0x1AF4, 0x1100, 0x020A0F),
        ),
        ("pci:v*d*sv*sd*bc01sc06i01*", PciIdentity(0, 0, 0, 0, 0x010601)),
        ("pci:v00008086d*sv*sd*bc*sc*i*", PciIdentity(0x8086, 0, 0, 0, 0)),
    ],
)
def test_a_modalias_tells_the_device(
    modalias: str, identity: PlatformIdentity | PciIdentity
) -> None:
    assert parse_modalias(modalias) == identity
    assert parse_modalias(str(identity)) == identity


@pytest.mark.parametrize(
    "modalias",
    [
        *("", "platform:", "platform:a b", "platform:a/b", "platform:" + "x" * 64),
        *("usb:v1D6Bp0002", "pci:", "pci:v8086d100E", "platform:a\0", "platform:a\n"),
        *("pci:v00018086d0000100Esv*sd*bc*sc*i*", "pci:v0000808gd*sv*sd*bc*sc*i*"),
        "pci:v*d*sv*sd*bc*sc*i*\n",
        "x" * 100_000,
    ],
)
def test_another_modalias_is_refused_with_what_one_looks_like(modalias: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_modalias(modalias)
    assert (refused.value.reason, refused.value.errno) == (Reason.INVALID_REQUEST, errno.EINVAL)
    assert len(refused.value.message) < 600


def test_a_directory_has_what_is_right_below_it() -> None:
    assert names("/") == ["/dev/", "/proc/", "/sys/"]
    assert names("/proc") == names("//proc/./x/..//") == ["/proc/empty/", "/proc/fs/", "/proc/fsx"]
    assert names("/proc/fs") == ["/proc/fs/deep/"]
    assert names("/proc/fs/deep/down") == ["/proc/fs/deep/down"]
    assert names("/proc/empty") == []
    assert look_up(FILES, "/proc")[1].module == "b"


@pytest.mark.parametrize("path", ["", "proc", "/pro", "/etc", "/../etc", "/dev/one/x", "/" * 5000])
def test_what_is_not_there_is_not_found(path: str) -> None:
    with pytest.raises(Refusal) as refused:
        look_up(FILES, path)
    assert refused.value.reason is Reason.FILE_NOT_FOUND


def test_a_huge_directory_is_cut() -> None:
    many = (KernelFile(f"/proc/{each}", is_directory=False) for each in range(FILES_MAX + 9))
    assert len(look_up(many, "/proc")) == FILES_MAX


def test_a_kernel_without_code_has_modules_files_and_no_devices() -> None:
    bare = kernel()
    load(bare, ModuleSpec(parameters=(Param("shown", mode=0o444), Param("hidden", mode=0))))
    assert [each.path for each in bare.files("/sys/module/sample/parameters")] == [
        "/sys/module/sample/parameters/shown"
    ]
    assert bare.devices() == ()
    with pytest.raises(KernelError) as refused:
        bare.add_device("platform:x")
    assert refused.value.errno == errno.EOPNOTSUPP
    with pytest.raises(KernelError) as refused:
        bare.remove_device("x.0")
    assert refused.value.reason is Reason.DEVICE_NOT_FOUND
    with pytest.raises(KernelError, match="no driver has interrupt 1") as refused:
        bare.raise_interrupt(1)
    assert refused.value.reason is Reason.DEVICE_NOT_FOUND


def test_a_real_kernels_devices_are_not_ours() -> None:
    assert isinstance(kernel(), Emulation)
    unused: Any = None
    devices = Devices(LinuxKernel(), unused, unused)
    for call in (
        lambda: devices.add("platform:x", USUAL),
        lambda: devices.interrupt(1, USUAL),
        devices.all,
        lambda: devices.files("/"),
    ):
        with pytest.raises(KernelError, match="only an emulated kernel") as refused:
            call()
        assert refused.value.errno == errno.EOPNOTSUPP


def test_there_is_a_bound_on_devices_and_their_names_are_used_again() -> None:
    require_emulator()
    running = kernel(boot={"run_code": True})
    for number in range(256):
        assert running.add_device("platform:x").name == f"x.{number}"
    with pytest.raises(KernelError) as refused:
        running.add_device("pci:v*d*sv*sd*bc*sc*i*")
    assert refused.value.reason is Reason.LIMIT_REACHED
    running.remove_device("x.7")
    assert running.add_device("platform:x").name == "x.7"
    assert len(running.files("/sys/bus/platform/devices")) == 256

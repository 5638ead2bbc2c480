# SPDX-License-Identifier: Apache-2.0
"""Nothing that a module is or does ends the emulated kernel that runs its code: not with numbers
that are out of range, and not by a mistake of the kernel's own.
"""

import errno
import time
from dataclasses import replace

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, EmulatedKernel
from kmodd.kernel.emulated.machine.crash import OWN_BUG
from kmodd.modulefile import ModuleFile
from tests.support.elf_patch import with_symbol, without_relocation
from tests.support.elf_writer import Export, ModuleSpec, write_module
from tests.support.emulated import CORE, kernel, load, log
from tests.support.modules import SOURCES
from tests.support.param_writer import Param
from tests.support.require import require_emulator

require_emulator()

from kmodd.kernel.emulated.abi.function_table import FUNCTIONS, RECLAIMERS, Implementation  # noqa: E402
from kmodd.kernel.emulated.abi.structures import DRIVER  # noqa: E402
from kmodd.kernel.emulated.functions.bus import buses_of  # noqa: E402  # after the emulator
from kmodd.kernel.emulated.machine import time_limit  # noqa: E402

WRITE_TO_16 = bytes.fromhex("c604251000000001c3")
"""x86 code: movb $1, 16; ret"""

INT_MAX = (1 << 31) - 1

RETURN_THE_LEAST = bytes.fromhex("b800000080c3")
"""x86 code: mov $INT_MIN, %eax; ret"""

ADDRESS_OF_VARIABLE = 32
"""Where in ``struct kernel_param`` it is."""


def running_kernel(*images: bytes) -> EmulatedKernel:
    """Boot a kernel that runs code and has every symbol that these modules import."""
    undefined = [each for image in images for each in ModuleFile.parse(image).undefined()]
    symbols = {**{each.name: CoreSymbol() for each in undefined}, **CORE}
    return kernel(boot={"run_code": True}, symbols=symbols)


def built(name: str) -> bytes:
    return (SOURCES / f"{name}.ko").read_bytes()


def crash(into: EmulatedKernel, image: bytes, parameters: str = "") -> KernelError:
    """Load a module that must crash, and see that its name and the kernel are as before."""
    with pytest.raises(KernelError) as failed:
        into.init_module(image, parameters, InsertFlags.NONE)
    assert (failed.value.reason, failed.value.errno) == (Reason.MODULE_CRASHED, errno.EFAULT)
    assert into.modules() == ()
    load(into, ModuleSpec(name=failed.value.module))
    into.delete_module(failed.value.module)
    return failed.value


def test_an_init_beyond_the_end_of_memory_is_an_oops() -> None:
    image = with_symbol(write_module(ModuleSpec()), "init_module", 8, "<Q", (1 << 32) - 1)
    told = crash(running_kernel(), image)
    assert told.detail.startswith("BUG: unable to handle page fault for address: 00000000")


@pytest.mark.parametrize(
    ("kind", "function"), [("int", "param_set_int"), ("bool", "param_set_bool")]
)
def test_a_parameter_that_is_nowhere_is_an_oops_of_its_setter(kind: str, function: str) -> None:
    image = write_module(ModuleSpec(parameters=(Param("lost", kind),)))
    told = crash(
        running_kernel(), without_relocation(image, "__param", ADDRESS_OF_VARIABLE), "lost=1"
    )
    assert told.detail == "BUG: kernel NULL pointer dereference, address: 0000000000000000"
    assert f"RIP: 0010:{function}+0x0/0x10" in told.log


def test_a_crash_where_a_symbols_name_lies_outside_is_a_crash() -> None:
    spec = ModuleSpec(exports=(Export("ok"),), init=WRITE_TO_16)
    home = next(
        each.index
        for each in ModuleFile.parse(write_module(spec)).elf.sections
        if each.name == ".init.text"
    )
    # A local symbol at the very address of init is the first of its names.
    image = with_symbol(write_module(spec), "__crc_ok", 6, "<H", home)
    image = with_symbol(image, "__crc_ok", 0, "<I", 1 << 24)
    told = crash(running_kernel(), image)
    assert told.detail == "BUG: kernel NULL pointer dereference, address: 0000000000000010"
    assert any(line.startswith("RIP: 0010:0xffffffffc0") for line in told.log)


def test_the_least_of_all_numbers_is_a_failure_like_others() -> None:
    one = running_kernel(built("gadget"))
    with pytest.raises(KernelError) as failed:
        load(one, ModuleSpec(init=RETURN_THE_LEAST))
    assert (failed.value.reason, failed.value.errno) == (Reason.KERNEL_REFUSED, errno.EINVAL)
    one.init_module(built("gadget"), f"own=1 refuses={-INT_MAX - 1}", InsertFlags.NONE)
    assert [each.probe_errno for each in one.devices()] == [errno.EINVAL]


@pytest.mark.parametrize("error", [TypeError("no such thing"), RecursionError(), AssertionError()])
def test_a_mistake_of_the_kernels_own_ends_the_call_alone_and_is_owned_to(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_arguments: object) -> int:
        raise error

    one = running_kernel(built("hello"))
    with monkeypatch.context() as patch:
        break_function(patch, "_printk", broken)
        told = crash(one, built("hello"))
    why = f"{OWN_BUG} _printk: {type(error).__name__}: {error}"
    assert told.detail == why
    assert why in told.log
    assert any(line.startswith("kmodd:  test_emulated_contained.py:") for line in told.log)
    assert "RIP: 0010:_printk+0x0/0x10" in told.log
    one.init_module(built("hello"), "", InsertFlags.NONE)
    assert one.identity().taints == "PDO"


def test_a_kernel_out_of_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_arguments: object) -> int:
        raise MemoryError

    break_function(monkeypatch, "_printk", exhausted)
    told = crash(running_kernel(built("hello")), built("hello"))
    assert told.detail == "kmodd: no memory is left for _printk"


def test_what_cannot_be_taken_back_does_not_keep_the_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_arguments: object) -> None:
        raise TypeError("no such thing")

    monkeypatch.setitem(RECLAIMERS, "memory", broken)
    one = running_kernel(built("leaky"))
    one.init_module(built("leaky"), "", InsertFlags.NONE)
    assert len(one.delete_module("leaky").leaks) == 1
    assert one.modules() == ()
    assert log(one)[-2] == f"{OWN_BUG} free_module: TypeError: no such thing"


def break_function(patch: pytest.MonkeyPatch, name: str, work: Implementation) -> None:
    patch.setitem(FUNCTIONS, name, replace(FUNCTIONS[name], work=work))


def test_a_device_whose_driver_has_lost_its_name_is_listed_all_the_same() -> None:
    one = running_kernel(built("gadget"))
    one.init_module(built("gadget"), "own=1", InsertFlags.NONE)
    (before,) = one.devices()
    machine = one._cpu.machine  # type: ignore[attr-defined]  # where its code could write, too
    (driver,) = buses_of(machine).drivers.values()
    machine.memory.put(driver.base + DRIVER.name, 16)
    (directory,) = one.files("/sys/bus/platform/drivers")
    assert directory.path == "/sys/bus/platform/drivers/gadget"
    assert one.devices() == (replace(before, driver="(bad driver)"),)


def test_what_other_programs_use_of_the_processor_is_not_on_a_modules_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = time_limit.TimeLimit()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + time_limit.WALL_SECONDS - 1)
    assert not given.is_spent()
    monkeypatch.setattr(time, "monotonic", lambda: now + time_limit.WALL_SECONDS + 1)
    assert given.is_spent()


def test_a_module_that_has_used_up_its_time_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "PROCESSOR_SECONDS", 0.0)
    one = running_kernel(built("endless"))
    with pytest.raises(KernelError) as failed:
        one.init_module(built("endless"), "", InsertFlags.NONE)
    assert failed.value.reason is Reason.MODULE_CRASHED
    assert "soft lockup" in failed.value.message

# SPDX-License-Identifier: Apache-2.0
"""Small emulated kernels, and what is done with them in most tests."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags, Kernel
from kmodd.kernel.emulated import CoreSymbol, EmulatedKernel, MachineType, Sample, Vmlinux
from tests.support.elf_writer import VERMAGIC, Export, Import, ModuleSpec, write_module
from tests.support.param_writer import OPERATIONS_CRCS

RELEASE = VERMAGIC.split()[0]
SAMPLE = Sample(MachineType(64, "little", 62))
PRINTK_CRC = 0x92997ED8

CORE = {
    "_printk": CoreSymbol(PRINTK_CRC),
    "kfree": CoreSymbol(None),
    "gpl_function": CoreSymbol(None, gpl_only=True),
    "hidden_function": CoreSymbol(None, namespace="HIDDEN"),
    "param_ops_of_another": CoreSymbol(None),
    **{name: CoreSymbol(crc) for name, crc in OPERATIONS_CRCS.items()},
}
"""What the kernel itself exports."""


def vmlinux(release: str = RELEASE, **changes: Any) -> Vmlinux:
    """Return what a kernel of ``release`` is; its modules have a version magic to match."""
    vermagic = VERMAGIC.replace(RELEASE, release)
    plain = Vmlinux(release, vermagic=vermagic, sample=SAMPLE, symbols=CORE)
    return replace(plain, **changes)


def kernel(
    release: str = RELEASE, *, boot: Mapping[str, Any] | None = None, **changes: Any
) -> EmulatedKernel:
    """Boot a kernel. ``boot`` are arguments of EmulatedKernel, ``changes`` of its Vmlinux."""
    booted = vmlinux(release, **changes)
    return EmulatedKernel(release, lambda: booted, **(boot or {}))


def load(
    into: Kernel, spec: ModuleSpec, parameters: str = "", flags: InsertFlags = InsertFlags.NONE
) -> None:
    """Load the module that ``spec`` describes."""
    into.init_module(write_module(spec), parameters, flags)


def refusal(
    into: Kernel, image: bytes, parameters: str = "", flags: InsertFlags = InsertFlags.NONE
) -> KernelError:
    """Load ``image``, which must fail, and see that nothing of it is left."""
    before = into.modules()
    with pytest.raises(KernelError) as refused:
        into.init_module(image, parameters, flags)
    assert into.modules() == before
    return refused.value


def file_refusal(into: Kernel, image: bytes) -> KernelError:
    """The same for a file that holds ``image``: init_module looks at none that is too short."""
    with tempfile.TemporaryFile() as file:
        file.write(image)
        file.flush()
        with pytest.raises(KernelError) as refused:
            into.finit_module(file.fileno(), "", InsertFlags.NONE)
    return refused.value


def log(of: Kernel) -> list[str]:
    """Return the lines of the log."""
    return [record.text for record in of.read_log()]


def importing(*names: str, **changes: Any) -> ModuleSpec:
    """Return the module "user", which imports these symbols with their versions."""
    imports = tuple(Import(name, crc=_crc(name)) for name in names)
    return replace(ModuleSpec(name="user", imports=imports), **changes)


def exporting(name: str, *symbols: str, **changes: Any) -> ModuleSpec:
    """Return a module that exports these symbols."""
    exports = tuple(Export(symbol) for symbol in symbols)
    return replace(ModuleSpec(name=name, exports=exports), **changes)


def _crc(name: str) -> int | None:
    return CORE[name].crc if name in CORE else Export(name).crc

# SPDX-License-Identifier: Apache-2.0
"""What emulated modules have on their account, and what the log says of where it was taken."""

from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, EmulatedKernel
from tests.support.elf_writer import Import, ModuleSpec, write_module
from tests.support.emulated import CORE, kernel
from tests.support.require import require_emulator

require_emulator()

TAIL_CALL = bytes.fromhex("bf64000000 bec00c0000 e900000000".replace(" ", ""))
"""x86 code: mov $100, %edi; mov $GFP_KERNEL, %esi; jmp ..."""


def running_kernel(*names: str) -> EmulatedKernel:
    """Boot a kernel that runs code and exports these functions, too."""
    symbols = {**CORE, **{name: CoreSymbol() for name in names}}
    return kernel(boot={"run_code": True}, symbols=symbols)


def test_what_a_function_takes_with_its_last_jump_it_has_taken() -> None:
    one = running_kernel("__kmalloc")
    spec = ModuleSpec(
        init=TAIL_CALL,
        imports=(Import("__kmalloc"),),
        init_calls=((len(TAIL_CALL) - 4, "__kmalloc"),),
    )
    one.init_module(write_module(spec), "", InsertFlags.NONE)
    (leak,) = one.delete_module(spec.name).leaks
    assert leak.startswith("100 bytes of memory, taken in init_module+0x0/")

# SPDX-License-Identifier: Apache-2.0
"""Modules in the emulated machine's memory: what was worked out at an earlier load is only used
where it is what would be worked out now.
"""

import random

import pytest

from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import CoreSymbol, EmulatedKernel
from kmodd.kernel.emulated.modules import image_cache
from kmodd.kernel.emulated.modules.candidate import SHF_ALLOC
from kmodd.modulefile import ModuleFile
from kmodd.modulefile.file import THIS_MODULE
from tests.support.elf_patch import with_relocation
from tests.support.elf_writer import ExtraSection, ModuleSpec, write_module
from tests.support.emulated import CORE, kernel, refusal
from tests.support.modules import SOURCES
from tests.support.require import require_emulator

require_emulator()

USES = {"hello": (), "greet": (), "shelf": (), "world": ("greet",)}
"""Modules, and those that each needs."""

IMAGES = {name: (SOURCES / f"{name}.ko").read_bytes() for name in USES}


def running_kernel() -> EmulatedKernel:
    undefined = [each for image in IMAGES.values() for each in ModuleFile.parse(image).undefined()]
    symbols = {each.name: CoreSymbol() for each in undefined if each.name != "greet_somebody"}
    symbols |= CORE
    return kernel(boot={"run_code": True}, symbols=symbols)


def memory_of(one: EmulatedKernel) -> dict[str, tuple[int, bytes]]:
    """Return where each module is, and the bytes that it has there."""
    memory = one._cpu.machine.memory  # type: ignore[attr-defined]  # to look at it
    return {
        each.name: (each.address, memory.read(each.address, each.size)) for each in one.modules()
    }


def step(one: EmulatedKernel, name: str) -> None:
    """Unload a module with its users, or load it with what it needs."""
    loaded = [each.name for each in one.modules()]
    if name in loaded:
        for user in [each for each in loaded if name in USES[each]]:
            one.delete_module(user)
        one.delete_module(name)
        return
    for each in (*USES[name], name):
        if each not in loaded:
            one.init_module(IMAGES[each], "", InsertFlags.NONE)


def test_a_module_has_the_bytes_of_its_place_however_often_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = random.Random(7)
    steps = [draw.choice(list(USES)) for _ in range(120)]
    keeping = running_kernel()
    seen = list[dict[str, tuple[int, bytes]]]()
    for name in steps:
        step(keeping, name)
        seen.append(memory_of(keeping))
    # Each was at several places, and more than once at most of them.
    places = {name: {each[name][0] for each in seen if name in each} for name in USES}
    assert min(map(len, places.values())) > 1
    monkeypatch.setattr(image_cache, "ROOM", 0)
    forgetful = running_kernel()
    for name, expected in zip(steps, seen, strict=True):
        step(forgetful, name)
        assert memory_of(forgetful) == expected


def test_a_module_that_cannot_be_relocated_leaves_no_room_taken() -> None:
    one = running_kernel()
    variables = ExtraSection(".data..percpu", bytes(2 << 20), flags=SHF_ALLOC)
    spec = ModuleSpec(sections=(variables,))
    good = write_module(spec)
    bad = with_relocation(good, THIS_MODULE, spec.init_offset, kind=99)
    for _ in range(3):
        assert refusal(one, bad).message.endswith("Unknown rela relocation: 99")
    one.init_module(good, "", InsertFlags.NONE)

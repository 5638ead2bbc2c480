# SPDX-License-Identifier: Apache-2.0
"""Static keys (kernel/jump_label.c): branches that are decided by changing the code.

Each place with such a branch has an entry in its module's ``__jump_table``: where it is, where it
jumps to, and the key that decides, all as distances from themselves (struct jump_entry, with
CONFIG_HAVE_ARCH_JUMP_LABEL_RELATIVE). The compiler leaves it as the key is at first.
"""

import struct
from collections.abc import Collection, Iterator

from kmodd.kernel.emulated.abi.function_table import alike, function
from kmodd.kernel.emulated.abi.structures import JUMP_ENTRY
from kmodd.kernel.emulated.machine.image import ModuleImage
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.state import KeptByAddress

_ENTRY = struct.Struct("<iiq")
_FLAGS, _IS_BRANCH = 3, 1
"""The lowest bits of an entry's key are flags; with this one it jumps when off."""

_LONG, _SHORT = (0xE9, 5), (0xEB, 2)
"""The operation code of a jump, and its bytes."""

_NOTHING = {5: bytes.fromhex("0f1f440000"), 2: bytes.fromhex("6690")}
_ENTRIES_MAX = 1 << 16


class SwitchedKeys(KeptByAddress[None]):
    """The keys that are not as they were compiled, or were not for a time."""


def _switch(machine: Machine, key: int, count: int) -> None:
    """Set how often a key is on, and change the code that it decides."""
    was_on = _count(machine, key) > 0
    machine.memory.put(key, count, 4)
    if was_on == (count > 0):
        return
    machine.state(SwitchedKeys).by_address[key] = None
    for image in machine.images:
        change_code(machine, image, {key})


def follow_switched_keys(machine: Machine, image: ModuleImage) -> None:
    """Change the code of a module that comes when keys have been switched already."""
    keys = machine.state(SwitchedKeys).by_address
    if image.jumps[1] and keys:
        change_code(machine, image, keys)


def change_code(machine: Machine, image: ModuleImage, keys: Collection[int]) -> None:
    """Change a module's code as these keys are now; what no jump reaches stays as it is."""
    if image.keys is None:
        image.keys = frozenset(key for _, _, key, _ in _entries(machine, image))
    if image.keys.isdisjoint(keys):
        return
    memory, has_changed = machine.memory, False
    for code, target, key, is_branch in _entries(machine, image):
        if key not in keys or not image.is_code(code):
            continue
        operation, size = _SHORT if memory.number(code, 1) in (_SHORT[0], 0x66) else _LONG
        distance, reach = target - code - size, 1 << 8 * (size - 1) - 1
        if not -reach <= distance < reach:
            continue
        jump = bytes([operation]) + distance.to_bytes(size - 1, "little", signed=True)
        is_on = _count(machine, key) > 0
        memory.write(code, jump if is_on != is_branch else _NOTHING[size])
        has_changed = True
    if has_changed:
        machine.cpu.forget_code()


def _entries(machine: Machine, image: ModuleImage) -> Iterator[tuple[int, int, int, bool]]:
    """Yield where the branches of a module are, and go to; the key, and whether off jumps."""
    start, size = image.jumps
    size = min(size // _ENTRY.size, _ENTRIES_MAX) * _ENTRY.size
    table = machine.memory.read(start, size) if size else b""
    places = range(start, start + size, _ENTRY.size)
    for at, (code, target, key) in zip(places, _ENTRY.iter_unpack(table), strict=True):
        where = at + JUMP_ENTRY.key + (key & ~_FLAGS)
        code_at, target_at = at + JUMP_ENTRY.code + code, at + JUMP_ENTRY.target + target
        yield code_at, target_at, where, bool(key & _IS_BRANCH)


def _count(machine: Machine, key: int) -> int:
    return machine.memory.number(key, 4, signed=True)


@function("int static_key_count(struct static_key *key)")
def static_key_count(machine: Machine, key: int) -> int:
    return _count(machine, key)


def _enable(machine: Machine, key: int) -> None:
    if _count(machine, key) <= 0:
        _switch(machine, key, 1)


def _disable(machine: Machine, key: int) -> None:
    """A key that is on more than once stays on."""
    if _count(machine, key) == 1:
        _switch(machine, key, 0)


def _increase(machine: Machine, key: int) -> int:
    """It is never on too often."""
    _switch(machine, key, _count(machine, key) + 1)
    return 1


def _decrease(machine: Machine, key: int, *_later: int) -> None:
    _switch(machine, key, max(_count(machine, key) - 1, 0))


alike(
    _enable,
    """
    void static_key_enable(struct static_key *key)
    void static_key_enable_cpuslocked(struct static_key *key)
    """,
)
alike(
    _disable,
    """
    void static_key_disable(struct static_key *key)
    void static_key_disable_cpuslocked(struct static_key *key)
    """,
)
alike(
    _increase,
    """
    bool static_key_slow_inc(struct static_key *key)
    """,
)
alike(
    _decrease,
    """
    void static_key_slow_dec(struct static_key *key)
    void __static_key_slow_dec_deferred(struct static_key *key, struct delayed_work *work, unsigned long timeout)
    """,
)

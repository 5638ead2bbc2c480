# SPDX-License-Identifier: Apache-2.0
"""Transforms that modules have of data: an algorithm, and perhaps a key (crypto/api.c)."""

from dataclasses import dataclass

from kmodd.kernel.emulated.abi.structures import CRYPTO_ALGORITHM
from kmodd.kernel.emulated.hardware import addresses
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.state import KeptByAddress

NEED_KEY = 1
"""The flag of a transform that has to be given a key first (CRYPTO_TFM_NEED_KEY)."""

_TRANSFORM_SIZE, _ALGORITHM_SIZE = 4096, 1024
_FUNCTIONS = 10


@dataclass(slots=True)
class Transform:
    """One that was made: the name of its algorithm, and its key where it has one."""

    algorithm: str
    key: bytes | None = None


class Transforms(KeptByAddress[Transform]):
    """All of them, by where each is: the structure that it is asked by."""


def make_transform(machine: Machine, kind: str, name: int, *, pointer: int, base: int) -> int:
    """Return a transform whose algorithm tells its names: the driver is the one without hardware.

    ``pointer`` is where it points at its algorithm, of which ``base`` bytes come before the part
    that all algorithms have; its functions come first, and succeed.
    """
    wanted = machine.memory.text(name, CRYPTO_ALGORITHM.name_size)
    made = machine.heap.allocate(_TRANSFORM_SIZE)
    algorithm = made + _TRANSFORM_SIZE - _ALGORITHM_SIZE
    machine.memory.put(made + pointer, algorithm)
    succeeds = addresses.TEXT.to_bytes(8, "little")
    machine.memory.write(algorithm - base, (succeeds * _FUNCTIONS)[:base])
    _put_name(machine, algorithm + CRYPTO_ALGORITHM.name, wanted)
    _put_name(machine, algorithm + CRYPTO_ALGORITHM.driver_name, f"{wanted}-generic")
    machine.ledger.take(kind, made, f"{kind} '{wanted}'")
    machine.state(Transforms).by_address[made] = Transform(wanted)
    return made


def _put_name(machine: Machine, at: int, name: str) -> None:
    room = CRYPTO_ALGORITHM.name_size
    machine.memory.write(at, name.encode("utf-8", "surrogateescape")[: room - 1].ljust(room, b"\0"))


def free_transform(machine: Machine, made: int) -> None:
    """Give back the memory of a transform."""
    machine.state(Transforms).by_address.pop(made, None)
    machine.forget_memory(made, machine.heap.room(made))
    machine.heap.free(made)


def transform_at(machine: Machine, made: int) -> Transform:
    """Return the transform that is there; raises ValueError where none is."""
    found = machine.state(Transforms).by_address.get(made)
    if found is None:
        raise ValueError(f"no transform is at {made:#x}")
    return found

# SPDX-License-Identifier: Apache-2.0
"""Input devices: nobody presses a key (drivers/input/input.c)."""

from kmodd.kernel.emulated.abi.function_table import function
from kmodd.kernel.emulated.machine.machine import Machine

_DEVICE, _REGISTERED = "input device", "registered input device"
_SIZE = 4096


@function("struct input_dev *input_allocate_device(void)")
def input_allocate_device(machine: Machine) -> int:
    made = machine.heap.allocate(_SIZE)
    machine.ledger.take(_DEVICE, made)
    return made


@function("void input_free_device(struct input_dev *dev)")
def input_free_device(machine: Machine, device: int) -> None:
    if machine.ledger.give(_DEVICE, device) is not None:
        machine.heap.free(device)


@function("int input_register_device(struct input_dev *dev)")
def input_register_device(machine: Machine, device: int) -> int:
    machine.ledger.take(_REGISTERED, device)
    return 0


@function("void input_unregister_device(struct input_dev *dev)")
def input_unregister_device(machine: Machine, device: int) -> None:
    """A device that was registered goes with that, and is not freed besides."""
    machine.ledger.give(_REGISTERED, device)
    input_free_device(machine, device)

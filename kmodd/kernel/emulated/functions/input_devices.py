# SPDX-License-Identifier: Apache-2.0
"""Input devices: what their drivers report goes to those who listen, as in drivers/input/input.c.

The console's keyboard listens to each device that has keys (drivers/tty/vt/keyboard.c), and tells its
notifiers of the key codes; what those mean on a keyboard is not looked up.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import function, reclaims
from kmodd.kernel.emulated.abi.structures import INPUT_DEVICE, KEYBOARD_PARAMETER
from kmodd.kernel.emulated.functions.event_files import Event, EventContent, Listener
from kmodd.kernel.emulated.functions.kobjects import count_references, forget_name, set_name, start
from kmodd.kernel.emulated.functions.notifiers import KEYBOARD, tell
from kmodd.kernel.emulated.functions.open_files import take_away
from kmodd.kernel.emulated.functions.sysfs import add_device, input_directory, remove_directory
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.reporting.log import Level

_DEVICE, _REGISTERED = "input device", "registered input device"
_SIZE = 4096
_NODE_MODE = 0o660

SYNCHRONIZE, KEY, RELATIVE, ABSOLUTE, MISC, SWITCH = range(6)
LED, SOUND, REPEAT, FORCE = 0x11, 0x12, 0x14, 0x15
"""Types of events (linux/input-event-codes.h)."""

_REPORT = 0
_KEYS_OF_KEYBOARDS = 0x100
"""The codes of keys begin with a keyboard's; buttons follow (BTN_MISC)."""

_KEYCODE = 1
_REPEATED = 2


@dataclass(slots=True, eq=False)
class InputDevice:
    """A device that is registered. ``listeners`` have it open; ``events`` are told with a report."""

    number: int
    listeners: list[Listener] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(slots=True)
class InputDevices:
    """Those that are registered, by where they are, and how many there were."""

    known: dict[int, InputDevice] = field(default_factory=dict)
    count: int = 0


def input_devices(machine: Machine) -> InputDevices:
    """Return the devices of this machine."""
    return machine.state(InputDevices)


def _bits(kind: int) -> int | None:
    """Return where a device says which codes of a type it has, None for a type without codes."""
    fields = {
        KEY: "keys",
        RELATIVE: "relatives",
        ABSOLUTE: "absolutes",
        MISC: "miscellaneous",
        LED: "leds",
        SOUND: "sounds",
        FORCE: "forces",
        SWITCH: "switches",
    }
    return getattr(INPUT_DEVICE, fields[kind]) if kind in fields else None


_CODES = {KEY: 768, RELATIVE: 16, ABSOLUTE: 64, MISC: 8, LED: 16, SOUND: 8, FORCE: 128, SWITCH: 17}
"""How many codes there are of a type."""


def _bit(machine: Machine, at: int, number: int) -> bool:
    return bool(machine.memory.number(at + number // 8, 1) >> number % 8 & 1)


def _put_bit(machine: Machine, at: int, number: int, *, value: bool) -> None:
    byte = machine.memory.number(at + number // 8, 1) & ~(1 << number % 8)
    machine.memory.put(at + number // 8, byte | value << number % 8, 1)


@function("struct input_dev *input_allocate_device(void)")
def input_allocate_device(machine: Machine) -> int:
    made = machine.heap.allocate(_SIZE)
    machine.ledger.take(_DEVICE, made)
    if INPUT_DEVICE.has("device"):
        start(machine, made + INPUT_DEVICE.device)
    return made


@function("void input_free_device(struct input_dev *dev)")
def input_free_device(machine: Machine, device: int) -> None:
    if machine.ledger.give(_DEVICE, device) is not None:
        _forget_names(machine, device)
        machine.heap.free(device)


def _forget_names(machine: Machine, device: int) -> None:
    if INPUT_DEVICE.has("device"):
        forget_name(machine, device + INPUT_DEVICE.device)


@function("void input_set_capability(struct input_dev *dev, unsigned int type, unsigned int code)")
def input_set_capability(machine: Machine, device: int, kind: int, code: int) -> None:
    bits = _bits(kind)
    if kind in _CODES and code >= _CODES[kind]:
        machine.log.write(Level.ERR, f"input_set_capability: invalid code {code} for type {kind}\n")
        return
    if bits is not None:
        _put_bit(machine, device + bits, code, value=True)
    elif kind not in (SYNCHRONIZE, REPEAT, 0x16):
        machine.log.write(Level.ERR, f"input_set_capability: unknown type {kind} (code {code})\n")
        return
    _put_bit(machine, device + INPUT_DEVICE.types, kind, value=True)


@function("int input_register_device(struct input_dev *dev)")
def input_register_device(machine: Machine, device: int) -> int:
    devices = input_devices(machine)
    made = InputDevice(devices.count)
    devices.count += 1
    _put_bit(machine, device + INPUT_DEVICE.types, SYNCHRONIZE, value=True)
    _put_bit(machine, device + INPUT_DEVICE.keys, 0, value=False)
    base = device + INPUT_DEVICE.device
    set_name(machine, base, b"input%d" % made.number)
    code = add_device(machine, base, f"input{made.number}", parent=input_directory(machine))
    if code:
        return code
    count_references(machine, base, 1)
    name = machine.memory.number(device + INPUT_DEVICE.name)
    shown = machine.memory.text(name, 255) if name else "Unspecified device"
    machine.log.write(Level.INFO, f"input: {shown} as /devices/virtual/input/input{made.number}\n")
    devices.known[device] = made
    machine.ledger.take(_REGISTERED, device)
    content = EventContent(
        lambda machine, listener: listen(machine, device, listener),
        lambda machine, listener: stop_listening(machine, device, listener),
    )
    node, module = f"input/event{made.number}", machine.taker
    machine.mounts.dev.add(
        device, 0, node, is_directory=False, mode=_NODE_MODE, module=module, content=content
    )
    if _is_keyboard(machine, device):
        listen(machine, device, lambda events: _type(machine, events))
    return 0


def _is_keyboard(machine: Machine, device: int) -> bool:
    keys = machine.memory.read(device + INPUT_DEVICE.keys, _KEYS_OF_KEYBOARDS // 8)
    return _bit(machine, device + INPUT_DEVICE.types, KEY) and any(keys)


@function("void input_unregister_device(struct input_dev *dev)")
def input_unregister_device(machine: Machine, device: int) -> None:
    """A device that was registered goes with that, and is not freed besides."""
    found = input_devices(machine).known.get(device)
    if found is not None:
        for listener in tuple(found.listeners):
            stop_listening(machine, device, listener)
    if machine.ledger.give(_REGISTERED, device) is not None:
        forget_registered(machine, device)
    input_free_device(machine, device)


@reclaims(_REGISTERED)
def forget_registered(machine: Machine, device: int) -> None:
    """Let nobody listen to a device that is gone."""
    if input_devices(machine).known.pop(device, None) is not None:
        for listed in machine.mounts.dev.remove_listed(device):
            take_away(machine, listed.content, errno.ENODEV)
        remove_directory(machine, device + INPUT_DEVICE.device)


def listen(machine: Machine, device: int, listener: Listener) -> int:
    """Have somebody told of a device's events; the first has it opened.

    Returns 0, or an errno below zero where the device cannot be opened.
    """
    found = input_devices(machine).known[device]
    found.listeners.append(listener)
    opens = machine.memory.number(device + INPUT_DEVICE.open)
    code = machine.call(opens, device) if opens and len(found.listeners) == 1 else 0
    if code:
        found.listeners.remove(listener)
    machine.memory.put(device + INPUT_DEVICE.users, len(found.listeners), 4)
    return code


def stop_listening(machine: Machine, device: int, listener: Listener) -> None:
    """Tell somebody nothing any more; the last has the device closed."""
    found = input_devices(machine).known.get(device)
    if found is None or listener not in found.listeners:
        return
    found.listeners.remove(listener)
    machine.memory.put(device + INPUT_DEVICE.users, len(found.listeners), 4)
    closes = machine.memory.number(device + INPUT_DEVICE.close)
    if closes and not found.listeners:
        machine.invoke(closes, device)


@function(
    "void input_event(struct input_dev *dev, unsigned int type, unsigned int code, int value)"
)
def input_event(machine: Machine, device: int, kind: int, code: int, value: int) -> None:
    """Pass an event on that changes something, together with the others of its report."""
    found = input_devices(machine).known.get(device)
    if found is None or not _passes(machine, device, kind, code, value):
        return
    found.events.append((kind, code, value))
    if (kind, code) == (SYNCHRONIZE, _REPORT):
        events, found.events = found.events, []
        if len(events) > 1:
            for listener in tuple(found.listeners):
                listener(events)


def _passes(machine: Machine, device: int, kind: int, code: int, value: int) -> bool:
    """Tell whether an event is one of the device's that says anything new."""
    if kind == SYNCHRONIZE:
        return True
    bits = _bits(kind)
    if bits is None or not _bit(machine, device + INPUT_DEVICE.types, kind):
        return False
    if code >= _CODES[kind] or not _bit(machine, device + bits, code):
        return False
    state = {KEY: "pressed", LED: "lit", SOUND: "sounding", SWITCH: "switched"}.get(kind)
    if kind == KEY and value == _REPEATED:
        return True
    if state is not None:
        at = device + getattr(INPUT_DEVICE, state)
        if _bit(machine, at, code) == bool(value):
            return False
        _put_bit(machine, at, code, value=bool(value))
    return bool(value) if kind == RELATIVE else True


def _type(machine: Machine, events: list[Event]) -> None:
    """Tell the keyboard's notifiers of keys."""
    for kind, code, value in events:
        if kind == KEY:
            parameter = machine.heap.allocate(KEYBOARD_PARAMETER.size)
            machine.memory.put(parameter + KEYBOARD_PARAMETER.down, value, 4)
            machine.memory.put(parameter + KEYBOARD_PARAMETER.value, code, 4)
            try:
                tell(machine, KEYBOARD, _KEYCODE, parameter)
            finally:
                machine.heap.free(parameter)

# SPDX-License-Identifier: Apache-2.0
"""device: plug devices into the emulated kernel, and raise interrupts

'add MODALIAS' makes a device that is not there and loads what answers to its modalias, as udev
does; the driver's probe is called for it. It is platform:NAME, or a PCI device with an empty
configuration space, as 'modinfo -F alias' shows it, with a * for what does not matter:
'pci:v00008086d0000100Esv*sd*bc*sc*i*'. 'list' shows the devices with their drivers, 'remove NAME'
unplugs one. 'interrupt NUMBER' calls the handlers of all who have that interrupt, and names them.
"""

import os

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.styles import BAD, GOOD, ODD, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.emulation_service import AddDeviceResponse, Device

_NOT_FOUND = "MODULE_NOT_FOUND"


ACTIONS = {
    "add": "a modalias",
    "list": "no other word",
    "remove": "a device's name",
    "interrupt": "a number",
}
"""What there is to do, and what each takes."""

_NUMBER_MAX = (1 << 32) - 1


def configure(parser: Parser) -> None:
    """Add the arguments of device."""
    add = parser.add_argument
    add("action", choices=tuple(ACTIONS), metavar="|".join(ACTIONS), help="what to do")
    add(
        "device",
        metavar="MODALIAS|NAME|NUMBER",
        nargs="?",
        help="what to add, which to remove, or which interrupt to raise",
    )


def check(options: CommandOptions, output: Output) -> bool:
    """Tell whether there is a device where one is needed, and none where not."""
    given = options.device
    if options.action == "list":
        is_right = given is None
    elif options.action == "interrupt":
        is_right = given is not None and given.isascii() and given.isdecimal()
        is_right = is_right and len(given) <= 10 and int(given) <= _NUMBER_MAX
    else:
        is_right = given is not None
    if not is_right:
        output.error(f"{options.action} takes {ACTIONS[options.action]}")
    return is_right


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Add, list or remove, or raise an interrupt."""
    from kmodctl.uploading import sendable
    from kmodd.messages.emulation_service import (
        AddDeviceRequest,
        ListDevicesRequest,
        RaiseInterruptRequest,
        RemoveDeviceRequest,
    )

    if options.action == "add":
        return _add(
            api.emulation.add_device(AddDeviceRequest(modalias=sendable(options.device))), output
        )
    if options.action == "remove":
        api.emulation.remove_device(RemoveDeviceRequest(name=sendable(options.device)))
        return 0
    if options.action == "interrupt":
        request = RaiseInterruptRequest(number=int(options.device))
        answer = api.emulation.raise_interrupt(request)
        if output.json:
            output.message(answer)
        else:
            output.data(f"interrupt {request.number}: {' '.join(answer.modules)}")
        return 0
    devices = api.emulation.list_devices(ListDevicesRequest()).devices
    if output.json:
        output.messages(devices)
        return 0
    for device in devices:
        output.data(*_pieces(device))
    return 0


def _add(answer: "AddDeviceResponse", output: Output) -> int:
    from kmodctl.failures import reason_of
    from kmodd.messages.emulation_service import Device
    from kmodd.messages.module_service import ModuleResult

    device, result = answer.device or Device(), answer.result or ModuleResult()
    if output.json:
        output.message(answer)
    else:
        output.data(*_pieces(device))
    failure = result.failure
    if failure is None:
        return 0
    if reason_of(failure) == _NOT_FOUND:
        if not device.driver:
            output.warning(f"no module answers to {device.modalias}")
        return 0
    output.error(f"could not load what {device.modalias} stands for: {failure.message}")
    output.kernel_log(failure.log_lines)
    return 1


def _pieces(device: "Device") -> "list[str | Styled]":
    """Return the line of a device, in pieces."""
    style = ODD
    if device.driver:
        of = f" of {device.driver_module}" if device.driver_module else ""
        driver, style = f"driver {device.driver}{of}", GOOD
    elif device.probe_errno:
        driver, style = f"no driver, refused: {os.strerror(device.probe_errno)}", BAD
    else:
        driver = "no driver"
    owner = f"  brought by {device.owner}" if device.owner else ""
    return [f"{device.name}  {device.modalias}  ", Styled(driver, style), owner]

# SPDX-License-Identifier: Apache-2.0
"""device: plug devices into the emulated kernel

'add MODALIAS' makes a device that is not there and loads what answers to its modalias, as udev
does; the driver's probe is called for it. It is platform:NAME, or a PCI device with an empty
configuration space, as 'modinfo -F alias' shows it, with a * for what does not matter:
'pci:v00008086d0000100Esv*sd*bc*sc*i*'. 'list' shows the devices with their drivers, 'remove NAME'
unplugs one.
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


def configure(parser: Parser) -> None:
    """Add the arguments of device."""
    add = parser.add_argument
    add("action", choices=("add", "list", "remove"), metavar="add|list|remove", help="what to do")
    add("device", metavar="MODALIAS|NAME", nargs="?", help="what to add, or which to remove")


def check(options: CommandOptions, output: Output) -> bool:
    """Tell whether there is a device where one is needed, and none where not."""
    if (options.device is None) == (options.action == "list"):
        return True
    words = {"add": "a modalias", "remove": "a device's name", "list": "no other word"}
    output.error(f"{options.action} takes {words[options.action]}")
    return False


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Add, list or remove."""
    from kmodctl.uploading import sendable
    from kmodd.messages.emulation_service import (
        AddDeviceRequest,
        ListDevicesRequest,
        RemoveDeviceRequest,
    )

    if options.action == "add":
        return _add(
            api.emulation.add_device(AddDeviceRequest(modalias=sendable(options.device))), output
        )
    if options.action == "remove":
        api.emulation.remove_device(RemoveDeviceRequest(name=sendable(options.device)))
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

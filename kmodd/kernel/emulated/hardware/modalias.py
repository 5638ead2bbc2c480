# SPDX-License-Identifier: Apache-2.0
"""Which device a modalias is of (drivers/base/platform.c, drivers/pci/pci-driver.c)."""

import errno
import re

from kmodd.errors import Reason
from kmodd.kernel.emulated.reporting.refusal import Refusal
from kmodd.records import record

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,+@:-]{0,62}")
_WORD = r"([0-9A-F]{8}|\*)"
_BYTE = r"([0-9A-F]{2}|\*)"
_PCI = re.compile(f"v{_WORD}d{_WORD}sv{_WORD}sd{_WORD}bc{_BYTE}sc{_BYTE}i{_BYTE}\\*?")
_PCI_FORM = "pci:vVVVVVVVVdDDDDDDDDsvVVVVVVVVsdDDDDDDDDbcBBscSSiII"
_ID_MAX = 0xFFFF
"""The largest number of a vendor or a device."""


@record
class PlatformIdentity:
    """What a platform device is: its name alone."""

    name: str

    bus = "platform"

    def __str__(self) -> str:
        return f"platform:{self.name}"


@record
class PciIdentity:
    """What a PCI device is. ``kind`` is its class: base, sub-class, interface in 24 bits."""

    vendor: int
    device: int
    subsystem_vendor: int
    subsystem_device: int
    kind: int

    bus = "pci"

    def __str__(self) -> str:
        return (
            f"pci:v{self.vendor:08X}d{self.device:08X}"
            f"sv{self.subsystem_vendor:08X}sd{self.subsystem_device:08X}"
            f"bc{self.kind >> 16:02X}sc{self.kind >> 8 & 0xFF:02X}i{self.kind & 0xFF:02X}"
        )


def parse_modalias(modalias: str) -> PlatformIdentity | PciIdentity:
    """Return which device is meant; a ``*`` stands for 0. Raises Refusal (INVALID_REQUEST)."""
    bus, _, rest = modalias.partition(":")
    if bus == "platform":
        if not _NAME.fullmatch(rest):
            raise _refusal(modalias, "a platform device is platform:NAME, of up to 63 characters")
        return PlatformIdentity(rest)
    if bus != "pci":
        raise _refusal(modalias, "only devices of the buses platform and pci can be made")
    found = _PCI.fullmatch(rest)
    if found is None:
        raise _refusal(modalias, f"a PCI device is {_PCI_FORM}")
    numbers = [0 if each == "*" else int(each, 16) for each in found.groups()]
    vendor, device, subsystem_vendor, subsystem_device, base, sub, interface = numbers
    if max(numbers) > _ID_MAX:
        raise _refusal(modalias, "a PCI device's numbers have 16 bits")
    kind = base << 16 | sub << 8 | interface
    return PciIdentity(vendor, device, subsystem_vendor, subsystem_device, kind)


def _refusal(modalias: str, why: str) -> Refusal:
    shown = modalias[:128]
    return Refusal(
        Reason.INVALID_REQUEST, errno.EINVAL, f"no device {shown!r}: {why}", detail=shown
    )

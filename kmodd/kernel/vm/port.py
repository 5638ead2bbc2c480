# SPDX-License-Identifier: Apache-2.0
"""The port by which a guest is spoken to: a serial port of virtio's, known by its name."""

from typing import Protocol

PORT_NAME = "org.kmodd.agent"
"""What /sys/class/virtio-ports/*/name has in the guest."""

PORT_MODULE = "virtio_console"
"""The module that drives such ports."""


class TreeRecord(Protocol):
    """What is asked of a module of the tree."""

    @property
    def name(self) -> str:
        """Its name, spelled with underscores."""

    @property
    def path(self) -> str:
        """Its file, relative to the release's directory."""


class PortTree(Protocol):
    """The release's database, as far as it is asked here."""

    @property
    def release(self) -> str:
        """The kernel's release."""

    @property
    def directory(self) -> str:
        """The directory of the release's modules."""

    def module(self, name: str) -> TreeRecord | None:
        """Return the module of that name."""

    def dependencies(self, name: str) -> tuple[TreeRecord, ...]:
        """Return all that the module needs, in the order to load it."""

    def is_builtin(self, name: str) -> bool:
        """Tell whether the module is part of the kernel."""

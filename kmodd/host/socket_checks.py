# SPDX-License-Identifier: Apache-2.0
"""What would keep a daemon from having a socket, found without a daemon."""

import os
from collections.abc import Iterator
from pathlib import Path

from kmodd.errors import KmoddError
from kmodd.host.sockets import SocketPlace, access_of
from kmodd.host.unit import Unit
from kmodd.settings import SocketSettings


def faults(settings: SocketSettings) -> Iterator[str]:
    """Yield why no daemon could have the socket: its user, its group, its path."""
    for check in (lambda: access_of(settings), lambda: SocketPlace(settings.path)):
        try:
            check()
        except KmoddError as error:
            yield error.message
    above = _nearest(settings.path)
    if not above.is_dir():
        yield f"{settings.path}: {above} is not a directory"


def doubts(settings: SocketSettings) -> Iterator[str]:
    """Yield why a daemon of this user's could not have the socket."""
    above = _nearest(settings.path)
    if not os.access(above, os.W_OK | os.X_OK):
        yield f"{settings.path}: {above} cannot be written by this user"


def unit_doubts(settings: SocketSettings, unit: Unit) -> Iterator[str]:
    """Yield why the service could not have a socket, which is without faults, by its ``unit``."""
    access = access_of(settings)
    if access.owner > 0 and not unit.may_chown:
        yield f"{settings.path}: kmodd.service may not give it to the owner {settings.owner!r}"
    if access.group > 0 and not unit.may_chown and access.group not in unit.groups:
        yield (
            f"{settings.path}: kmodd.service is not in the group {settings.group!r}: "
            f"'systemctl edit kmodd' takes SupplementaryGroups={settings.group}"
        )
    directory = settings.path.parent
    if not unit.writes_all and not any(directory.is_relative_to(each) for each in unit.writable):
        yield (
            f"{settings.path}: kmodd.service may not write there: "
            "'systemctl edit kmodd' takes RuntimeDirectory= or ReadWritePaths="
        )


def _nearest(path: Path) -> Path:
    """Return what there is of a socket's directory and those above it."""
    return next(each for each in path.parents if each.exists() or each == Path("/"))

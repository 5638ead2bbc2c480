# SPDX-License-Identifier: Apache-2.0
"""The guest's initial RAM disk: the agent, and the modules that its port needs. Nothing else.

The format is cpio's "newc" (Documentation/driver-api/early-userspace/buffer-format.rst): for each
file a header of hexadecimal digits, its name and its contents, each padded to four bytes.
"""

import stat
from collections.abc import Iterable, Sequence

from kmodd.errors import KernelError, ModuleFileError, Reason
from kmodd.kernel.vm.machines import GuestMachine
from kmodd.kernel.vm.port import PORT_MODULE, PortTree
from kmodd.modulefile import ModuleFile
from kmodd.records import record

INIT = "init"
"""The agent's name: the kernel runs it first of all."""

MODULES = "modules"
"""The directory of the modules."""

LIST = "modules/list"
"""The file that names the modules' paths, one a line, in the order to load them in."""

DIRECTORIES = ("dev", "proc", "sys", MODULES)

_TRAILER = "TRAILER!!!"


@record
class PortModule:
    """A module of the port's: its name, and its image, uncompressed."""

    name: str
    image: bytes


def port_modules(tree: PortTree, machine: GuestMachine) -> tuple[PortModule, ...]:
    """Return the modules that the port needs on that machine, in the order to load them.

    Those that are part of the kernel are left out. Raises KernelError where the tree does not have
    one, and ModuleFileError where it cannot be read.
    """
    paths: dict[str, str] = {}
    for name in (machine.transport, PORT_MODULE):
        if not name or tree.is_builtin(name):
            continue
        found = tree.module(name)
        if found is None:
            why = (
                f"the kernel {tree.release} has no {name}, neither built in nor as a module in "
                f"{tree.directory}: without it nobody can speak to a guest (Debian's packages "
                f"{machine.image_package} and linux-image-cloud-* have it)"
            )
            raise KernelError(Reason.KERNEL_REFUSED, why)
        for each in (*tree.dependencies(name), found):
            paths[each.name] = each.path
    return tuple(
        PortModule(name, _image(f"{tree.directory}/{path}")) for name, path in paths.items()
    )


def initramfs(agent: bytes, modules: Sequence[PortModule]) -> bytes:
    """Return the archive with ``agent`` as init; the same for the same, whoever makes it."""
    entries = [
        *((name, stat.S_IFDIR | 0o755, b"") for name in DIRECTORIES),
        *((f"{MODULES}/{each.name}.ko", stat.S_IFREG | 0o644, each.image) for each in modules),
        (LIST, stat.S_IFREG | 0o644, _list(modules)),
        (INIT, stat.S_IFREG | 0o755, agent),
    ]
    return _archive(entries)


def _list(modules: Iterable[PortModule]) -> bytes:
    return "".join(f"/{MODULES}/{each.name}.ko\n" for each in modules).encode()


def _image(path: str) -> bytes:
    try:
        with ModuleFile.open(path) as module:
            return bytes(module.image)
    except OSError as error:
        raise ModuleFileError(path, f"it cannot be read: {error.strerror}") from error


def _archive(entries: Iterable[tuple[str, int, bytes]]) -> bytes:
    parts = [
        part
        for number, (name, mode, data) in enumerate(entries, 1)
        for part in _entry(number, name, mode, data)
    ]
    return b"".join((*parts, *_entry(0, _TRAILER, 0, b"")))


def _entry(number: int, name: str, mode: int, data: bytes) -> tuple[bytes, ...]:
    """Return an entry in the pieces that it consists of."""
    text = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    # Inode, mode, owner, group, links, time, size, device and special device, name's size, sum.
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(text), 0)
    head = b"070701" + b"".join(b"%08X" % each for each in fields) + text
    return head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)

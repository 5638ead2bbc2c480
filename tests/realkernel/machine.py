# SPDX-License-Identifier: Apache-2.0
"""A virtual machine that runs Debian's kernel on this machine's files.

QEMU emulates the processor, so no rights are needed. The host's root, or that of another system,
is shared read-only, with a tmpfs over it that takes what the guest writes. The module tree comes
with the initial RAM disk and is root's there, whoever owns it here.
"""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from kmodd.config.depmod import read_depmod_config
from kmodd.database import Database
from kmodd.database.rebuild import rebuild
from kmodd.modulefile import ModuleFile
from kmodd.names import module_name_of_path
from tests.realkernel.monitor import attended
from tests.support.require import require
from tests.support.tree import ModuleTree

BOOT_MODULES = ("virtio_pci", "9p", "9pnet_virtio", "overlay")
"""What the guest's root stands on; a kernel that has one of them built in needs no file."""

PROCESSOR = "Nehalem"
"""An old one is emulated in 60 % of the time that QEMU's newest takes."""

BUSY = "no_timer_check"
"""What keeps the guest's kernel from giving up at its boot where the machine is so busy that a
timer comes late (admin-guide/kernel-parameters.txt): there is none that does not work.
"""

QUICKER = "mitigations=off"
"""What makes the kernel quicker. Expedited grace periods would, too, but then configfs has gone
before the callbacks that it left behind have run.
"""

MEMORY = "2048"
"""Megabytes of the guest."""

INIT = """\
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install /bin
mkdir -p /proc /sys /ro /upper /newroot
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in {modules}; do insmod /boot/$module; done
share() {{ mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,$3 $1 $2; }}
share root /ro cache=loose
mount -t tmpfs -o mode=755 tmpfs /upper
mkdir /upper/data /upper/work
mount -t overlay -o lowerdir=/ro,upperdir=/upper/data,workdir=/upper/work overlay /newroot
mount --move /proc /newroot/proc
mount --move /sys /newroot/sys
mount -t devtmpfs devtmpfs /newroot/dev
for place in run usr/lib/modules; do
    mkdir -p /newroot/$place
    mount -t tmpfs -o mode=755 tmpfs /newroot/$place
done
cp -a /tree/lib/modules/. /newroot/usr/lib/modules
if [ -d /tree/etc ]; then cp -a /tree/etc/. /newroot/etc; fi
mkdir -p /newroot/run/out
share out /newroot/run/out cache=none
{prepare}
exec switch_root /newroot {command}
"""

SIDE_BY_SIDE = ("-accel", "tcg,thread=multi", "-smp", "2")

COUNTED = ("-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=2")
"""A clock that goes by what is executed: an instruction takes four nanoseconds, as it does where
QEMU has a processor for itself. So what a guest is to do in time it does on a busy machine, too.
"""

QEMU_NEEDED = "a real kernel runs in QEMU (qemu-system-x86)"
BUSYBOX_NEEDED = "the virtual machine starts and ends with busybox (busybox-static)"


@dataclass(frozen=True, slots=True)
class Guest:
    """What a boot came to: what was said on the console, and the directory that it wrote to."""

    console: str
    output: Path


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A guest to boot: a kernel, a tree for it, and a place for what belongs to the boot.

    ``root`` is the system whose files it has. One that is ``counted`` has one processor, and a
    clock that goes by what it executes, whatever else this machine does; others have two.
    """

    kernel_image: Path
    tree: ModuleTree
    work: Path
    root: Path = Path("/")
    counted: bool = False

    def boot(
        self,
        base: ModuleTree,
        command: Sequence[str],
        *,
        seconds: float,
        prepare: str = "",
        arguments: str = "",
        monitored: bool = False,
    ) -> Guest:
        """Boot, run ``command`` as the first process, and return when the machine is off.

        What the guest's root stands on is in the tree ``base``.
        ``prepare`` is a shell script that is run before, with the guest's root at /newroot;
        ``arguments`` are added to the kernel's command line. Where it is ``monitored``, the guest
        can have devices plugged in (monitor.py). Raises AssertionError with the end of the console
        after ``seconds``.
        """
        qemu = require("qemu-system-x86_64", QEMU_NEEDED)
        output = self.work / "out"
        output.mkdir()
        initrd = self._initial_ram_disk(base, command, prepare)
        console = self.work / "console"
        socket = self.work / "monitor"
        monitor = f"unix:{socket},server=on,wait=off" if monitored else "none"
        process = subprocess.Popen(
            [
                qemu,
                *("-cpu", PROCESSOR, "-m", MEMORY),
                *(COUNTED if self.counted else SIDE_BY_SIDE),
                *("-nographic", "-no-reboot", "-nic", "none", "-serial", f"file:{console}"),
                *("-monitor", monitor, "-kernel", str(self.kernel_image), "-initrd", str(initrd)),
                *("-append", f"console=ttyS0 panic=-1 loglevel=4 {QUICKER} {BUSY} {arguments}"),
                *("-virtfs", f"{_share(str(self.root), 'root')},readonly=on"),
                *("-virtfs", _share(str(output), "out")),
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            with attended(socket, output) if monitored else nullcontext():
                process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the guest hangs:\n{_end_of(console)}") from None
        finally:
            process.kill()
            process.wait()
        return Guest(_end_of(console), output)

    def _initial_ram_disk(self, base: ModuleTree, command: Sequence[str], prepare: str) -> Path:
        busybox = require("busybox", BUSYBOX_NEEDED)
        cpio = require("cpio", "the initial RAM disk is made with cpio")
        files = self.work / "initrd"
        (files / "bin").mkdir(parents=True)
        (files / "boot").mkdir()
        shutil.copy(busybox, files / "bin/busybox")
        shutil.copytree(self.tree.root, files / "tree", symlinks=True)
        needed = needed_modules(database_of(base), BOOT_MODULES)
        names = [f"{module_name_of_path(path)}.ko" for path in needed]
        for name, path in zip(names, needed, strict=True):
            # Of what distributions compress modules with, busybox reads little.
            with ModuleFile.open(str(base.directory / path)) as module:
                (files / "boot" / name).write_bytes(module.image)
        init = files / "init"
        modules = " ".join(names)
        init.write_text(INIT.format(modules=modules, prepare=prepare, command=shlex.join(command)))
        init.chmod(0o755)
        image = self.work / "initrd.img"
        listing = "".join(f"{path.relative_to(files)}\n" for path in sorted(files.rglob("*")))
        with image.open("wb") as archive:
            subprocess.run(
                [cpio, "--quiet", "--create", "--format=newc", "--owner=0:0"],
                input=listing.encode(),
                stdout=archive,
                cwd=files,
                check=True,
            )
        return image


def power_off() -> str:
    """Return the command that switches the guest off."""
    return f"{require('busybox', BUSYBOX_NEEDED)} poweroff -f"


def database_of(tree: ModuleTree) -> Database:
    """Return the database of a tree, built in memory."""
    config = read_depmod_config(tree.root, tree.release)
    return rebuild(str(tree.directory), tree.release, config=config)


def needed_modules(database: Database, names: Sequence[str]) -> tuple[str, ...]:
    """Return the files of ``names`` and of all they need, in the order to load them."""
    paths: dict[str, None] = {}
    for name in names:
        record = database.module(name)
        if record is not None:
            for each in (*database.dependencies(name), record):
                paths[each.path] = None
    return tuple(paths)


def partial_tree(tree: ModuleTree, root: Path, paths: Sequence[str]) -> ModuleTree:
    """Copy the files ``paths`` of a tree, and its lists, to ``root``, beside what is there."""
    part = ModuleTree(root=root, release=tree.release)
    part.directory.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = part.directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.directory / path, target)
    for listing in tree.directory.glob("modules.*"):
        shutil.copy(listing, part.directory)
    return part


def _share(path: str, tag: str) -> str:
    return f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap"


def _end_of(console: Path) -> str:
    return console.read_text("utf-8", "replace")[-8000:] if console.exists() else ""

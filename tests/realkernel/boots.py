# SPDX-License-Identifier: Apache-2.0
"""The guests: one that runs the scenarios on Debian's kernel, and those that systemd runs.

The same scenarios run on the emulated kernel, without a guest.
"""

import compileall
import json
import os
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.realkernel.hotplug_setup import DRIVERS, hotplug_setup, measured_setup
from tests.realkernel.layout import Layout
from tests.realkernel.machine import (
    QEMU_NEEDED,
    Guest,
    VirtualMachine,
    database_of,
    needed_modules,
    partial_tree,
    power_off,
)
from tests.realkernel.package_setup import FOLDERS, add_packages, package_setup
from tests.realkernel.reloads import reloads
from tests.realkernel.scenarios import SCENARIOS, Record, Session, load_each, run
from tests.realkernel.service_setup import SYSTEMD, service_setup
from tests.support.daemon import running_daemon
from tests.support.debian import DebianTree, tree_of
from tests.support.require import require
from tests.support.systems import system_of

PROJECT = Path(__file__).parents[2]

COMMAND_LINE = "greet.numbers=7,8"
"""What is on the kernel's command line."""

VM_MODULES = ("virtio_pci", "virtio_console")
"""What the virtual machine of a daemon is spoken to by."""

QUIET = "systemd.show_status=false"
"""What keeps systemd from drawing on the console while it waits."""

PATIENCE = 2400.0
"""Seconds for a guest, which takes some 200 of a processor, and gets what the tests leave it."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What came of each scenario, by its name, and what was said meanwhile."""

    records: dict[str, Record]
    log: str = ""

    def of(self, scenario: str) -> Record:
        """The record of one scenario, which must have come to its end."""
        assert scenario in self.records, f"{scenario} has no outcome\n{self.log}"
        record = self.records[scenario]
        assert "broken" not in record, record["broken"]
        return record


def boot_kernel(
    debian: DebianTree, layout: Layout, work: Path, *, seconds: float = PATIENCE
) -> Outcomes:
    """Boot the guest that runs the scenarios, and return what came of them."""
    command = shlex.join(
        [
            *("env", f"PYTHONPATH={PROJECT}", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            *(sys.executable, "-m", "tests.realkernel.guest"),
            *(str(layout.uploads), "/run/out/results", *layout.drawn),
        ]
    )
    script = f"cd {shlex.quote(str(PROJECT))}; {command} >/run/out/log 2>&1; {power_off()}"
    machine = VirtualMachine(debian.kernel_image, layout.tree, work)
    guest = machine.boot(debian, ["/bin/sh", "-c", script], seconds=seconds, arguments=COMMAND_LINE)
    return _outcomes(guest)


def boot_service(debian: DebianTree, layout: Layout, work: Path) -> Outcomes:
    """Boot the guest whose first process is systemd, and return what came of kmodd.service."""
    require(str(SYSTEMD), "the guest's first process is systemd")
    _compile()
    machine = VirtualMachine(debian.kernel_image, layout.tree, work, counted=True)
    guest = machine.boot(
        debian,
        [str(SYSTEMD)],
        seconds=PATIENCE,
        prepare=service_setup(PROJECT, layout.uploads),
        arguments=QUIET,
    )
    return _outcomes(guest)


def boot_owned(debian: DebianTree, work: Path) -> Outcomes:
    """Boot the guest in which kmodd has the loads, and return what came of it."""
    return _boot_with_devices(debian, work, hotplug_setup(PROJECT))


def boot_measured(
    debian: DebianTree, work: Path, *, kmodd: bool, before_udev: bool = False
) -> Outcomes:
    """Boot the same guest, and return when what was there, with ``kmodd`` or without."""
    prepare = measured_setup(PROJECT, kmodd=kmodd, before_udev=before_udev)
    return _boot_with_devices(debian, work, prepare)


def boot_package(suite: str, package: Path, work: Path) -> Outcomes:
    """Boot a bare system of a suite, in which a package lives; each value that is said is one of
    the records.
    """
    debian, system = tree_of(suite), system_of(suite)
    folders = (each for each in FOLDERS if (debian.directory / each).is_dir())
    tree = debian.copy(work / "root", *folders)
    add_packages(tree, package, work)
    machine = VirtualMachine(debian.kernel_image, tree, work, system.root, counted=True)
    guest = machine.boot(
        tree, [str(SYSTEMD)], seconds=PATIENCE, prepare=package_setup(), arguments=QUIET
    )
    log = guest.output / "log"
    said = guest.output / "said"
    records: dict[str, Record] = {}
    if said.exists():
        for line in said.read_text().splitlines():
            name, _, value = line.partition("\t")
            records[name] = {"said": value.split()}
    return Outcomes(records, guest.console + (log.read_text() if log.exists() else ""))


def _boot_with_devices(debian: DebianTree, work: Path, prepare: str) -> Outcomes:
    require(str(SYSTEMD), "the guest's first process is systemd")
    _compile()
    drivers = needed_modules(database_of(debian), DRIVERS)
    machine = VirtualMachine(
        debian.kernel_image,
        partial_tree(debian, work / "root", drivers),
        work,
        counted=True,
    )
    guest = machine.boot(
        debian,
        [str(SYSTEMD)],
        seconds=PATIENCE,
        prepare=prepare,
        arguments=QUIET,
        monitored=True,
    )
    return _outcomes(guest)


def _compile() -> None:
    """Compile both packages, as an installation does.

    The service of a guest may not write down what it compiles, and would do it at each start.
    """
    for package in ("kmodd", "kmodctl"):
        compileall.compile_dir(PROJECT / package, quiet=1)


def emulate(layout: Layout) -> Outcomes:
    """Run the scenarios on the emulated kernel, and return what came of them."""
    with tempfile.TemporaryDirectory(dir=layout.tree.root.parent) as directory:
        return _run_here(layout, _of_its_own(layout, Path(directory)))


def virtualise(debian: DebianTree, layout: Layout) -> Outcomes:
    """Run them on Debian's kernel in a virtual machine of the daemon's."""
    require("qemu-system-x86_64", QEMU_NEEDED)
    with tempfile.TemporaryDirectory(dir=layout.tree.root.parent) as directory:
        root = _of_its_own(layout, Path(directory))
        partial_tree(debian, root, needed_modules(database_of(debian), VM_MODULES))
        image = str(debian.kernel_image)
        options = ("--kernel", "vm", "--vm-accel", "tcg", "--kernel-image", image)
        return _run_here(layout, root, *options)


def _run_here(layout: Layout, root: Path, *options: str) -> Outcomes:
    """Run the scenarios by a daemon of this machine."""
    with (
        running_daemon(
            root, "--kernel-command-line", COMMAND_LINE, *options, seconds=PATIENCE
        ) as daemon,
        daemon.client() as client,
    ):
        session = Session(client, layout.uploads)

        def listing() -> list[str]:
            return [
                f"{module.name} {module.size_bytes} {module.reference_count} "
                + ("".join(f"{holder}," for holder in module.holders) or "-")
                for module in client.list_modules()
            ]

        records = {scenario.__name__: run(session, scenario) for scenario in SCENARIOS}
        records["reloads"] = run(session, reloads)
        status = client.status()
        records["status"] = {"runs_init": status.runs_init, "kernel": int(status.kernel)}
        records["load_each"] = run(session, load_each, layout.drawn, listing)
    return Outcomes(records)


def _of_its_own(layout: Layout, directory: Path) -> Path:
    """Return a root with the same files, to be replaced while guests are given the others."""
    return shutil.copytree(
        layout.tree.root, directory / "root", symlinks=True, copy_function=os.link
    )


def _outcomes(guest: Guest) -> Outcomes:
    """Read what the guest wrote."""
    log, results = guest.output / "log", guest.output / "results"
    said = guest.console + (log.read_text("utf-8", "replace") if log.exists() else "")
    assert results.exists(), f"the guest did not come to its first result\n{said}"
    found = [json.loads(line) for line in results.read_text().splitlines()]
    return Outcomes({each["scenario"]: each["record"] for each in found}, said)

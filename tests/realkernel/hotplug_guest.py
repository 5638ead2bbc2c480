# SPDX-License-Identifier: Apache-2.0
"""What runs in the guest in which devices are plugged in: ``hotplug_guest.py OUTPUT``."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from kmodctl import Client
from kmodd.v1 import module_service_pb2 as pb
from tests.realkernel.monitor import GuestsMonitor
from tests.realkernel.scenarios import Record, Session, run
from tests.realkernel.service_unit import PATIENCE, answers, main_pid, shown, systemctl
from tests.support.daemon import wait_until

SOCKET = "/run/kmodd/admin/kmodd.sock"
GATE = Path("/run/kmodd/hotplug/gate")
CLOSED = {"virtio_input", "minix", "slhc"}
"""What is denied; pppox needs the last."""

CARRYING = ("virtio", "9p", "overlay", "fscache", "netfs")
"""How those are called that the guest's root stands on."""

EVENTS = 1000
"""Events in the flood."""


@dataclass(frozen=True, slots=True)
class Machine(Session):
    """The machine and its daemon; ``monitor`` plugs devices in."""

    monitor: GuestsMonitor

    def plug(self, device: str, pattern: str = "pci/*") -> list[str]:
        """Plug in a device, and wait until udev is done with all there is; returns its modules.

        They are those that have come by then. ``pattern`` is what the device is called in its
        subsystem; one of virtio's stands behind another one.
        """
        pattern = "virtio/*" if device.startswith("virtio-") else pattern
        before = modules()
        with events_of(pattern) as awaited:
            said = self.monitor.ask(f"device_add {device}")
            if "Error" in said:
                return [said]
            awaited()
        settle()
        return sorted(modules() - before)


def main(arguments: Sequence[str]) -> None:
    """Run everything, and write a line of JSON for each."""
    (output,) = arguments
    checks: tuple[Callable[..., Record], ...] = (
        booted,
        coldplug,
        plugged,
        denied,
        every_road,
        flooded,
        stopped,
        killed,
        sealed,
    )
    with open(f"{output}/results", "w", buffering=1) as results, Client(SOCKET) as client:
        machine = Machine(client, Path(output), GuestsMonitor(Path(output)))
        for check in checks:
            began = time.monotonic()
            record = run(machine, check)
            results.write(json.dumps({"scenario": check.__name__, "record": record}) + "\n")
            print(f"{check.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def modules() -> set[str]:
    return {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}


@contextmanager
def events_of(pattern: str) -> Iterator[Callable[[], None]]:
    """Give what waits for the kernel's event of a device that has come since.

    A device is in /sys before its event is sent, and udev settles before it has heard of it.
    """
    subsystem, _, name = pattern.partition("/")
    command = ["udevadm", "monitor", "--kernel", f"--subsystem-match={subsystem}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as heard:
        patience = threading.Timer(PATIENCE, heard.kill)
        patience.start()
        assert heard.stdout is not None
        lines = heard.stdout
        next(line for line in lines if line.startswith("KERNEL"))  # from then on it listens

        def await_it() -> None:
            added = (line.split()[2] for line in lines if " add " in line)
            next(path for path in added if fnmatch(path.rpartition("/")[2], name))

        yield await_it
        patience.cancel()
        heard.kill()


def settle() -> None:
    subprocess.run(["udevadm", "settle", f"--timeout={PATIENCE:.0f}"], check=True)


def booted(machine: Machine) -> Record:
    """udev has loaded for the devices that were there, and then kmodd took over."""
    settle()
    status = machine.client.status()
    known = origins(machine)
    return {
        "modules": sorted(modules()),
        "gate": GATE.exists(),
        "origins": known,
        "others": status.others_count,
        "others_known": [name for name, origin in known.items() if origin == "ORIGIN_OTHERS"],
        "start_failures": list(status.start_failures),
        "coverage": coverage(),
    }


def origins(machine: Machine) -> dict[str, str]:
    return {module.name: pb.Origin.Name(module.origin) for module in machine.client.list_modules()}


def coldplug(machine: Machine) -> Record:
    """What is there is found by udev without kmodd, and by kmodd at its start."""
    systemctl("stop", "kmodd.service")
    kept = unload_all()
    systemctl("restart", "systemd-modules-load.service", "systemd-udev-trigger.service")
    settle()
    by_udev = modules()
    unload_all()
    start_again(machine)
    settle()
    known = origins(machine)
    systemctl("restart", "systemd-modules-load.service")
    return {
        "by_udev": sorted(by_udev - kept),
        "by_kmodd": {name: known[name] for name in sorted(modules() - kept)},
        "others": machine.client.status().others_count,
        "modules_load": shown("ConditionResult", unit="systemd-modules-load.service"),
    }


def unload_all() -> set[str]:
    """Unload what can be unloaded, and return what is left."""
    while True:
        before = modules()
        unused = [
            fields[0]
            for line in Path("/proc/modules").read_text().splitlines()
            if (fields := line.split())[2] == "0" and not fields[0].startswith(CARRYING)
        ]
        if unused:
            command("rmmod", *unused)
        if modules() == before:
            return before


def coverage() -> dict[str, str]:
    """What kmodctl coverage tells of each road."""
    words = ["/opt/kmodd/bin/kmodctl", "--json", "coverage"]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {road["name"]: road["covered"] for road in json.loads(found)}


def plugged(machine: Machine) -> Record:
    """A device whose driver takes seconds to load; udev's settle waits for it."""
    come = machine.plug("virtio-rng-pci,id=rng")
    found = machine.client.get_module("virtio_rng").module
    return {
        "come": come,
        "state": pb.ModuleState.Name(found.state),
        "others": machine.client.status().others_count,
        "operations": told(machine, "virtio:d00000004v"),
        "usb": machine.plug("qemu-xhci,id=xhci"),
        # Behind a hub that is the controller's own.
        "keyboard": machine.plug("usb-kbd,id=kbd,bus=xhci.0", "usb/*-[1-9]*:*"),
    }


def denied(machine: Machine) -> Record:
    come = machine.plug("virtio-keyboard-pci,id=denied")
    journal = ["journalctl", "--no-pager", "--output=cat", "--unit=kmodd.service"]
    lines = subprocess.run(journal, capture_output=True, text=True, check=True).stdout
    return {
        "come": come,
        "operations": told(machine, "virtio:d00000012v"),
        "audit": [line for line in lines.splitlines() if "MODULE_DENIED" in line],
    }


def told(machine: Machine, beginning: str) -> list[Record]:
    """What the events tell of the operations for such a modalias."""
    status = machine.client.status()
    found = []
    for message in machine.client.watch_modules(status.epoch, status.oldest_revision):
        operation = message.operation
        if operation.what.startswith(beginning):
            found.append(
                {
                    "origin": operation.origin,
                    "device": operation.device,
                    "loaded": list(operation.loaded),
                    "failure": operation.failure.message,
                }
            )
        if message.revision >= status.newest_revision:
            break
    return found


def every_road(machine: Machine) -> Record:
    """Each road by which a denied module might come, while kmodd is there."""
    record = {
        "name": machine.load("virtio_input"),
        "alias": machine.load("virtio:d00000012v00001AF4"),
        "dependency": machine.load("pppox"),
        "modprobe": command("/sbin/modprobe", "virtio_input"),
        "modules_load": command("systemctl", "restart", "systemd-modules-load.service"),
        "libkmod": command("/usr/lib/systemd/systemd-modules-load"),
        "trigger": command("udevadm", "trigger", "--action=add", "--settle"),
        "kernel": command("mount", "-t", "minix", "/dev/null", "/mnt"),
    }
    release = next(Path("/lib/modules").iterdir())
    path = next(release.rglob("virtio_input.ko*"))
    record["file"] = machine.attempt(lambda: machine.client.insert(path))
    record["come"] = sorted(modules() & CLOSED)
    return record


def command(*words: str) -> int:
    return subprocess.run(words, capture_output=True, check=False).returncode


def flooded(machine: Machine) -> Record:
    """A thousand events of a device whose driver is not there."""
    come = machine.plug("virtio-scsi-pci,id=scsi")
    (device,) = (
        path
        for path in Path("/sys/bus/virtio/devices").iterdir()
        if (path / "device").read_text().strip() == "0x0008"
    )
    before = usage(machine)
    loads = len(told(machine, "virtio:d00000008v"))
    machine.client.remove("virtio_scsi")
    for _ in range(EVENTS):
        (device / "uevent").write_text("add")
    settle()
    after = usage(machine)
    return {
        "come": come,
        "loads": len(told(machine, "virtio:d00000008v")) - loads,
        "there": "virtio_scsi" in modules(),
        "threads": [before[0], after[0]],
        "memory": [before[1], after[1]],
        "others": machine.client.status().others_count,
    }


def usage(machine: Machine) -> tuple[int, int]:
    """The daemon's threads, and its memory in KiB."""
    lines = Path(f"/proc/{main_pid()}/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return machine.client.status().thread_count, memory


def killed(machine: Machine) -> Record:
    """udev loads what kmodd does not, and a denied one not even then."""
    systemctl("kill", "--signal=KILL", "kmodd.service")
    wait_until(lambda: main_pid() == 0, seconds=PATIENCE, pause=0.1)
    record = {
        "gate": GATE.exists(),
        "come": machine.plug("e1000,id=network"),
        "denied": machine.plug("virtio-mouse-pci,id=mouse"),
    }
    start_again(machine)
    record["gate_again"] = GATE.exists()
    return record


def start_again(machine: Machine) -> None:
    systemctl("start", "kmodd.service")
    wait_until(lambda: answers(machine), seconds=PATIENCE, pause=0.5)


def sealed(machine: Machine) -> Record:
    """The last word; a device that wants a driver is told of before."""
    machine.client.remove("e1000")
    check = machine.client.seal(check=True)
    seal = machine.client.seal().seal
    status = machine.client.status()
    return {
        "missing": [(each.name, each.wanted_by) for each in check.missing],
        "by": seal.by,
        "switch": Path("/proc/sys/kernel/modules_disabled").read_text().strip(),
        "load": machine.load("e1000"),
        "unload": machine.unload("virtio_scsi"),
        "status": (status.refusal, status.seal.by),
    }


def stopped(machine: Machine) -> Record:
    systemctl("stop", "kmodd.service")
    record: Record = {
        "gate": GATE.exists(),
        "left": [path.name for path in GATE.parent.iterdir()] if GATE.parent.exists() else [],
        "come": machine.plug("virtio-balloon-pci,id=balloon"),
        "denied": machine.plug("virtio-tablet-pci,id=tablet"),
        "modprobe": command("/sbin/modprobe", "virtio_input"),
        "dependency": command("/sbin/modprobe", "pppox"),
        "kernel": command("mount", "-t", "minix", "/dev/null", "/mnt"),
        "libkmod": command("/usr/lib/systemd/systemd-modules-load"),
        "still": sorted(modules() & CLOSED),
    }
    start_again(machine)
    return record


if __name__ == "__main__":
    main(sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""What runs in the guest: ``guest.py UPLOADS OUTPUT MODULE...``.

It starts a daemon on the guest's kernel, runs the scenarios and what only a real kernel can be
asked, and writes a line of JSON for each to OUTPUT as it goes.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from kmodd.kernel.linux import LinuxKernel
from kmodd.modulefile import ModuleFile
from kmodd.names import module_name_of_path
from tests.realkernel.lessons import OwnFiles, lessons
from tests.realkernel.reloads import reloads
from tests.realkernel.scenarios import SCENARIOS, Record, Session, load_each, load_one, run
from tests.support.daemon import Daemon, running_daemon

MODPROBE = "/usr/sbin/modprobe"
PATIENCE = 300.0
"""Seconds that a daemon's start or a hint may take: the machine may be busy, too."""

LOOKS, PAUSE = 2, 0.05
"""How often no helper of the kernel's is to be found, at so many seconds from each other."""

RACES = 6
"""How often kmodd and modprobe are set on the same module at the same moment."""


def main(arguments: Sequence[str]) -> None:
    """Run everything; the log of the daemon goes to stderr."""
    uploads, output, *drawn = arguments
    with (
        open(output, "w", buffering=1) as results,
        running_daemon(Path("/"), "--kernel", "linux", seconds=PATIENCE) as daemon,
        daemon.client() as client,
    ):
        session = Session(client, Path(uploads))

        def check(scenario: Callable[..., Record], *arguments: object) -> None:
            began = time.monotonic()
            name = scenario.__name__
            record = run(session, scenario, *arguments)
            results.write(json.dumps({"scenario": name, "record": record}) + "\n")
            print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)

        check(status)
        check(command_line)
        for scenario in SCENARIOS:
            check(scenario)
        check(reloads)
        check(lessons, OwnFiles())
        check(others_changes)
        check(hints)
        check(race)
        check(untrusted)
        check(by_kmodd_and_by_modprobe, drawn)
        check(daemon_log, daemon.log)
        check(without_the_capability)
        check(disabled, daemon)


def status(session: Session) -> Record:
    answer = session.client.status()
    return {
        "kernel": int(answer.kernel),
        "release": answer.release,
        "runs_init": answer.runs_init,
        "vermagic": answer.vermagic,
        "loaded": answer.loaded_count,
        "in_proc": [line.split()[0] for line in proc_modules()],
        "first_lines": [record.text for record in session.client.read_log()][:3],
    }


def command_line(session: Session) -> Record:
    """The kernel was started with a parameter for greet."""
    session.load("greet")
    shown = Path("/sys/module/greet/parameters/numbers").read_text()
    session.unload("greet")
    return {"numbers": shown}


def others_changes(session: Session) -> Record:
    before = session.client.status()
    modprobe("world")
    seen = session.listed("world", "greet")
    after = session.client.status()
    return {
        "seen": seen,
        "epoch_stays": before.epoch == after.epoch,
        "revision_grows": before.revision < after.revision,
        "unload": session.unload("world"),
        "left": session.listed("world", "greet"),
    }


def hints(_session: Session) -> Record:
    """The kernel tells of what another program loads, and of what it unloads."""
    kernel = LinuxKernel()
    told = threading.Condition()
    listings = []

    def look() -> None:
        with told:
            listings.append(kernel.module("world") is not None)
            told.notify_all()

    def seen(listed: bool) -> bool:
        with told:
            return told.wait_for(lambda: listings[-1:] == [listed], PATIENCE)

    with kernel.watching(look):
        return {
            "loads": [modprobe("world"), seen(True)],
            "unloads": [modprobe("-r", "world"), seen(False)],
        }


def race(session: Session) -> Record:
    """kmodd and modprobe load the same module, then both unload it."""
    rounds = []
    for _ in range(RACES):
        loads = both(partial(session.load, "world"), "world")
        listed = session.listed("world", "greet")
        unloads = both(partial(session.unload, "world"), "-r", "world")
        session.unload("world")
        rounds.append([loads, listed, unloads[0], session.listed("world", "greet")])
    return {"rounds": rounds}


def untrusted(session: Session) -> Record:
    """Files that others than root may write, where root's are expected."""
    (release,) = Path("/lib/modules").iterdir()
    module = release / "extra/halfway.ko"
    found: Record = {}
    for name, path, mode in (
        ("file", module, 0o666),
        ("directory", module.parent, 0o777),
    ):
        before = path.stat().st_mode
        path.chmod(mode)
        found[name] = session.load("halfway", parameters="answers=1")
        path.chmod(before)
    configuration = Path("/etc/modprobe.d/kmodd-test.conf")
    configuration.chmod(0o666)
    found["unread"] = list(session.client.rebuild_database().unread_configuration)
    configuration.chmod(0o644)
    found["mended"] = session.attempt(session.client.rebuild_database)
    found["loads"] = session.load("halfway", parameters="answers=1")
    session.unload("halfway")
    return found


def by_kmodd_and_by_modprobe(session: Session, names: Sequence[str]) -> Record:
    """Load and unload each by kmodd and then by modprobe."""

    def load(name: str) -> int:
        return int(not modprobe(name))

    def unload(name: str) -> int:
        return int(not modprobe("-r", name))

    def remove(name: str) -> bool:
        ran = subprocess.run(["/usr/sbin/rmmod", name], capture_output=True, check=False)
        return not ran.returncode

    asking = modules_that_ask() - {line.split()[0] for line in proc_modules()}

    def listing() -> list[str]:
        lines = proc_modules()
        if asking.isdisjoint(line.split()[0] for line in lines):
            return lines
        await_helpers()
        return proc_modules()

    found = {}
    for name in names:
        ours = load_each(session, [name], listing)[name]
        found[name] = [ours, load_one(name, load, unload, remove, listing)]
    return found


def modules_that_ask() -> set[str]:
    """Those whose code has the kernel ask for others, which may come when it has long returned."""
    return {
        module_name_of_path(str(path))
        for path in Path("/lib/modules").rglob("*.ko*")
        if b"__request_module" in image_of(path)
    }


def image_of(path: Path) -> bytes:
    """Return a module as it is uncompressed."""
    with ModuleFile.open(str(path)) as module:
        return module.image


def await_helpers() -> None:
    """Wait until no modprobe runs, which here is one that the kernel has called for itself."""
    quiet = 0
    while quiet < LOOKS:
        time.sleep(PAUSE)
        quiet = 0 if any(map(is_modprobe, Path("/proc").glob("[0-9]*/comm"))) else quiet + 1


def is_modprobe(file: Path) -> bool:
    with suppress(OSError):  # a process that has ended meanwhile
        return file.read_text() == "modprobe\n"
    return False


def daemon_log(_session: Session, path: Path) -> Record:
    """The daemon's own log, but for what it says of each operation."""
    return {"lines": [line for line in path.read_text().splitlines() if "operation" not in line]}


def without_the_capability(session: Session) -> Record:
    """What a daemon says that may not load modules."""
    setpriv = ("/usr/bin/setpriv", "--bounding-set=-sys_module")
    options = ("--kernel", "linux", "--no-publish")
    with (
        running_daemon(Path("/"), *options, through=setpriv, seconds=PATIENCE) as daemon,
        daemon.client() as client,
    ):
        other = Session(client, session.uploads)
        return {
            "log": daemon.log.read_text().splitlines()[0],
            "load": other.load("world"),
            "health": daemon.health("ModuleService"),
        }


def disabled(session: Session, daemon: Daemon) -> Record:
    """No module any more until the next boot: this comes last."""
    before = daemon.health("ModuleService")
    Path("/proc/sys/kernel/modules_disabled").write_text("1")
    return {
        "load": session.load("world"),
        "remove": session.remove("overlay"),
        "health": [before, daemon.health("ModuleService")],
    }


def modprobe(*arguments: str) -> bool:
    command = [MODPROBE, *arguments]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def both(act: Callable[[], object], *arguments: str) -> list[object]:
    """Do both at the same moment: the failure of the first, and whether modprobe succeeded."""
    answers: list[object] = [None]
    other = threading.Thread(target=lambda: answers.append(modprobe(*arguments)))
    other.start()
    answers[0] = act()
    other.join()
    return answers


def proc_modules() -> list[str]:
    return Path("/proc/modules").read_text().splitlines()


if __name__ == "__main__":
    main(sys.argv[1:])

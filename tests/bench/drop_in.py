# SPDX-License-Identifier: Apache-2.0
"""kmodctl in the place of kmod's tools, as whole processes: beside those, and beside Python.

Each call is made in turns with kmod's own tool and with an interpreter that does nothing, the
floor. kmod asks the machine's kernel, so what it can be asked here are questions about the same
tree; a load that finds the module in place is its ``-n``. The processor's time is that of all
processes of a call, and what the daemon spends meanwhile is told apart.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.support.daemon import running_daemon, wait_until
from tests.support.debian import unpacked_tree
from tests.support.links import install_links
from tests.support.require import find_tool
from tests.support.spending import Spent, run_and_count
from tests.support.tree import ModuleTree

UNARY = 2.5
"""Times the floor's processor time that the process of one call of a daemon may take."""

ALONE = 6.0
"""The same of a question that is answered without a daemon."""

SHORT = 5
"""Turns of a short call in each one that is asked for."""

LOADED = "ext4"
ALIAS = "fs-ext4"
"""An alias of that module."""

LEAF = "kernel/lib/crc-itu-t.ko"
"""A module's file that needs no other module."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command, kmod's for the same, and what is run before and after it; () for none.

    ``wanted`` is how many times the floor's its processor time may be.
    """

    name: str
    ours: Sequence[str]
    theirs: Sequence[str] = ()
    before: Sequence[str] = ()
    after: Sequence[str] = ()
    wanted: float | None = None
    status: int = 0


@dataclass(frozen=True, slots=True)
class Turns:
    """What a call, kmod's and the floor took, turn by turn."""

    call: Call
    ours: list[Spent]
    theirs: list[Spent]
    floor: list[Spent]


def run(repeat: int) -> None:
    """Measure everything and print the tables."""
    kmod = find_tool("modprobe")
    if kmod is None:
        raise SystemExit("the reference, kmod's modprobe, is not installed")
    reference = Path(kmod).parent
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        links = install_links(Path(directory))
        tree = unpacked_tree().copy(Path(directory, "root"))
        turns = _with_a_daemon(tree, links, reference, repeat)
        turns += _without(tree, links, reference, repeat)
    _print_table("processor ms", turns, lambda spent: spent.command, daemon=True)
    _print_table("clock ms", turns, lambda spent: spent.clock, daemon=False)
    print("\nmedian (least); the wanted ratio is that of the process to `python3 -I -S -c pass`")


def _with_a_daemon(tree: ModuleTree, links: Path, kmod: Path, repeat: int) -> list[Turns]:
    """Measure calls of a daemon, which has published the tree's databases."""
    words = ("--release", tree.release, "--no-watch", "--log-level", "error")
    with running_daemon(tree.root, *words) as daemon:
        wait_until((tree.directory / "modules.devname").exists)
        environment = _environment(KMODD_SOCKET=str(daemon.socket))
        pids = (daemon.process.pid, daemon.kernel_pid())
        run_and_count([str(links / "modprobe"), LOADED], environment)
        return [
            _take_turns(call, repeat * SHORT, links, environment, pids)
            for call in _calls_of_a_daemon(tree, links, kmod)
        ]


def _calls_of_a_daemon(tree: ModuleTree, links: Path, kmod: Path) -> list[Call]:
    root, release = str(tree.root), tree.release
    place = ("-d", root, "-S", release)
    modprobe, modinfo = str(links / "modprobe"), str(links / "modinfo")
    listing = (str(kmod / "lsmod"),) if Path("/proc/modules").exists() else ()
    file = str(next(tree.directory.rglob(f"{LOADED}.ko")))
    leaf = str(tree.directory / LEAF)
    insmod, rmmod = (str(links / "insmod"), leaf), (str(links / "rmmod"), Path(leaf).stem)
    return [
        Call("lsmod", (str(links / "lsmod"),), listing, wanted=UNARY),
        Call(
            "modprobe -q -- ALIAS",
            (modprobe, "-q", "--", ALIAS),
            (str(kmod / "modprobe"), *place, "-n", "-q", "--", ALIAS),
            wanted=UNARY,
        ),
        Call(
            "modprobe -D NAME",
            (modprobe, "-D", LOADED),
            (str(kmod / "modprobe"), *place, "-D", LOADED),
            wanted=UNARY,
        ),
        Call(
            "modinfo NAME",
            (modinfo, LOADED),
            (str(kmod / "modinfo"), "-b", root, "-k", release, LOADED),
            wanted=UNARY,
        ),
        Call("modinfo FILE", (modinfo, file), (str(kmod / "modinfo"), file), wanted=ALONE),
        Call("insmod", insmod, after=rmmod, wanted=UNARY),
        Call("rmmod", rmmod, before=insmod, wanted=UNARY),
    ]


def _without(tree: ModuleTree, links: Path, kmod: Path, repeat: int) -> list[Turns]:
    """Measure what is done without a daemon; last what writes the databases anew."""
    root, release = str(tree.root), tree.release
    place, based = ("-d", root, "-S", release), ("-b", root)
    questions = (
        ("modprobe -d ROOT -S VER -D NAME", "modprobe", (*place, "-D", LOADED), ALONE, 0),
        ("modinfo -b ROOT -k VER NAME", "modinfo", (*based, "-k", release, LOADED), ALONE, 0),
        # No such module, so that kmod comes to an end in front of the machine's kernel.
        ("the real kmod executed", "modprobe", (*place, "-q", "--", "no-such-alias"), None, 1),
        ("depmod -b ROOT", "depmod", (*based, release), None, 0),
    )
    environment = _environment()
    return [
        _take_turns(
            Call(
                f"no daemon: {name}",
                (str(links / tool), *words),
                (str(kmod / tool), *words),
                wanted=wanted,
                status=status,
            ),
            repeat if tool == "depmod" else repeat * SHORT,
            links,
            environment,
        )
        for name, tool, words, wanted, status in questions
    ]


def _take_turns(
    call: Call,
    count: int,
    links: Path,
    environment: dict[str, str],
    daemon: Sequence[int] = (),
) -> Turns:
    """Run a call, kmod's and the floor so often, after one time for the caches."""
    python = (links / "modprobe").resolve().with_name("python3")
    floor = (str(python), "-I", "-S", "-c", "pass")
    turns = Turns(call, [], [], [])
    for number in range(count + 1):
        if call.before:
            run_and_count(call.before, environment)
        ours = run_and_count(call.ours, environment, daemon, call.status)
        if call.after:
            run_and_count(call.after, environment)
        theirs = [run_and_count(call.theirs, environment, (), call.status)] if call.theirs else []
        bare = run_and_count(floor, environment)
        if number:
            turns.ours.append(ours)
            turns.theirs.extend(theirs)
            turns.floor.append(bare)
    return turns


def _environment(**more: str) -> dict[str, str]:
    """Return the environment of a call, with nothing of a daemon or of Python but ``more``."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, **more}


def _print_table(
    title: str, turns: list[Turns], seconds: Callable[[Spent], float], *, daemon: bool
) -> None:
    own = " | the daemon's" if daemon else ""
    print(f"\n| {title} | kmodctl{own} | kmod | floor | to kmod | to the floor | wanted |")
    print("|---" * (8 if daemon else 7) + "|")
    for each in turns:
        ours, floor = [*map(seconds, each.ours)], [*map(seconds, each.floor)]
        theirs = [*map(seconds, each.theirs)]
        served = [spent.daemon for spent in each.ours]
        whole = median(map(sum, zip(ours, served, strict=True))) if daemon else median(ours)
        wanted = f"{each.call.wanted:g}" if daemon and each.call.wanted else ""
        cells = [
            each.call.name,
            _milliseconds(ours),
            *([_milliseconds(served)] if daemon else []),
            _milliseconds(theirs),
            _milliseconds(floor),
            f"{whole / median(theirs):.1f}" if theirs else "",
            f"{median(ours) / median(floor):.1f}",
            wanted,
        ]
        print(f"| {' | '.join(cells)} |")


def _milliseconds(times: list[float]) -> str:
    return f"{median(times) * 1000:.1f} ({min(times) * 1000:.1f})" if times else ""

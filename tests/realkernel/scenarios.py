# SPDX-License-Identifier: Apache-2.0
"""What is asked of a kernel through kmodd, and what came of it as plain data.

The same scenarios run on the real kernel and on the emulated one, so that the two can be compared.
Each leaves the kernel as it found it, but for what cannot be unloaded.
"""

import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration

from kmodctl import CallError, Client
from kmodd.v1 import module_service_pb2

Record = dict[str, Any]
Scenario = Callable[["Session"], Record]


OF_CLOCKS = ("tsc: ", "clocksource: ")
"""How lines of the kernel's log begin that are about its clocks."""


@dataclass(frozen=True, slots=True)
class Session:
    """A client, and the directory with the module files that are uploaded."""

    client: Client
    uploads: Path

    def attempt(self, call: Callable[[], object]) -> Record:
        """What became of a call: nothing to tell, or its failure."""
        try:
            call()
        except CallError as error:
            return {
                "reason": error.reason,
                "errno": error.errno,
                "module": error.module,
                "symbol": error.symbol,
                "detail": error.detail,
                "message": error.message,
                "log": of_modules(error.log_lines),
            }
        return {}

    def load(self, *names: str, parameters: str = "", **options: bool) -> Record:
        return self.attempt(lambda: self.client.load(*names, parameters=parameters, **options))

    def unload(self, *names: str, **options: Any) -> Record:
        return self.attempt(lambda: self.client.unload(*names, **options))

    def remove(self, name: str, **options: Any) -> Record:
        return self.attempt(lambda: self.client.remove(name, **options))

    def insert(self, name: str, parameters: str = "", **options: bool) -> Record:
        path = self.uploads / f"{name}.ko"
        return self.attempt(lambda: self.client.insert(path, parameters, **options))

    def listed(self, *names: str) -> Record:
        """What the listing says of each of these modules that is in it, by name."""
        return {
            module.name: [
                module.reference_count,
                sorted(module.holders),
                module.permanent,
                module.taints,
            ]
            for module in self.client.list_modules()
            if module.name in names
        }

    def last_sequence(self) -> int:
        """The number of the newest record of the log."""
        return max((record.sequence for record in self.client.read_log()), default=-1)

    def logged(self, after: int) -> list[str]:
        """The lines of the log after a record."""
        return of_modules([record.text for record in self.client.read_log(after=after)])


def of_modules(lines: list[str] | tuple[str, ...]) -> list[str]:
    """Leave out what the kernel says once: of taints, and of its clocks at its start."""
    return [line for line in lines if "taint" not in line and not line.startswith(OF_CLOCKS)]


def dependencies(session: Session) -> Record:
    before = session.last_sequence()
    (result,) = session.client.load("world")
    steps = [step.module for step in result.steps]
    listed = session.listed("world", "greet")
    left = session.unload("world")
    return {
        "steps": steps,
        "listed": listed,
        "unload": left,
        "left": session.listed("world", "greet"),
        "log": session.logged(before),
    }


def parameters(session: Session) -> Record:
    before = session.last_sequence()
    given = session.load("greet", parameters="times=2 loud=1 whom=all numbers=3,-4,5")
    log = session.logged(before)
    values = Path("/sys/module/greet/parameters")
    shown = {path.name: path.read_text() for path in values.iterdir()} if values.exists() else {}
    session.unload("greet")
    return {"load": given, "log": log, "sysfs": shown}


def set_parameters(session: Session) -> Record:
    """Set parameters of a loaded module, and try what cannot be."""
    session.load("greet", parameters="numbers=1")
    client = session.client

    def shown() -> Record:
        return {
            each.name: [each.value, each.mode, each.type] for each in client.get_parameters("greet")
        }

    def store(name: str, value: str) -> Record:
        return session.attempt(lambda: client.set_parameter("greet", name, value))

    before = shown()
    words = ("times=7", "loud=on", "times=often", "times=99999999999", "whom=me", "nothing=1")
    stored = {word: store(*word.split("=")) for word in words}
    details = client.get_module("greet")
    after = shown()
    session.unload("greet")
    return {
        "before": before,
        "stored": stored,
        "after": after,
        "sizes": [details.core_size_bytes, details.init_size_bytes],
        "sections": places(details),
        "notes": {each.name: each.contents.hex() for each in details.notes},
        "versions": [details.version, bool(details.source_version)],
        "unloaded": session.attempt(lambda: client.set_parameter("greet", "times", "1")),
    }


def places(details: module_service_pb2.GetModuleResponse) -> Record:
    """Tell for each section whether it stays or is for init, and how far into that memory it is."""
    at = {each.name: each.address for each in details.sections}
    core = range(at[".text"], at[".text"] + details.core_size_bytes)
    return {
        name: ["core", address - core.start]
        if address in core
        else ["init", address - at[".init.text"]]
        for name, address in at.items()
    }


def bad_parameter(session: Session) -> Record:
    refused = session.load("greet", parameters="times=often")
    ignored = session.load("greet", parameters="nonsense=1")
    session.unload("greet")
    return {"refused": refused, "ignored": ignored, "left": session.listed("greet")}


def in_use(session: Session) -> Record:
    session.load("world")
    held = session.remove("greet")
    forced = session.remove("greet", force=True)
    session.unload("world")
    return {"held": held, "forced": forced, "left": session.listed("world", "greet")}


def waits(session: Session) -> Record:
    """An unload waits for the user of a module to go, and not longer than it is to."""
    found = {}
    for name, unload in (("unload", session.unload), ("remove", session.remove)):
        session.load("world")
        in_vain = unload("greet", wait=Duration(nanos=200_000_000))
        leaving = threading.Timer(0.5, session.remove, ["world"])
        leaving.start()
        waited = unload("greet", wait=Duration(seconds=60))
        leaving.join()
        left = session.listed("world", "greet")
        found[name] = {"in_vain": in_vain, "waited": waited, "left": left}
    return found


def failing_init(session: Session) -> Record:
    failed = session.load("halfway")
    listed = session.listed("halfway")
    works = session.load("halfway", parameters="answers=1")
    session.unload("halfway")
    return {"failed": failed, "listed": listed, "works": works}


def wrong_vermagic(session: Session) -> Record:
    refused = session.insert("foreign")
    forced = session.insert("foreign", ignore_vermagic=True)
    listed = session.listed("gplsym")
    session.remove("gplsym")
    return {"refused": refused, "forced": forced, "listed": listed}


def unknown_symbol(session: Session) -> Record:
    return {"alone": session.insert("world"), "not_free": session.load("gpluser")}


def taints(session: Session) -> Record:
    session.load("hello")
    listed = session.listed("hello")
    session.unload("hello")
    return {"listed": listed, "left": session.listed("hello", "gplsym")}


def twice(session: Session) -> Record:
    first = session.insert("greet")
    again = session.insert("greet")
    quiet = session.load("greet")
    strict = session.load("greet", first_time=True)
    session.remove("greet")
    return {"first": first, "again": again, "quiet": quiet, "strict": strict}


def absent(session: Session) -> Record:
    missing = session.load("kmodd_nothing")
    root = session.client.status().root
    return {
        "load": missing | {"detail": missing["detail"].removeprefix(root.rstrip("/"))},
        "unload": session.unload("greet"),
        "strict": session.unload("greet", first_time=True),
        "remove": session.remove("greet"),
    }


def nonsense(session: Session) -> Record:
    return {"text": session.insert("nonsense"), "cut": session.insert("cut")}


def compressed(session: Session) -> Record:
    given = {name: session.load(name) for name in ("packed_xz", "packed_zst")}
    listed = session.listed("facade", "gplsym", "greet")
    return {"load": given, "listed": listed, "unload": session.unload("facade", "gplsym", "greet")}


def builtin(session: Session) -> Record:
    name = Path(session.uploads, "builtin").read_text().strip()
    return {
        "load": session.load(name),
        "strict": session.load(name, first_time=True)["reason"],
        "unload": session.unload(name)["reason"],
    }


def no_exit(session: Session) -> Record:
    loaded = session.load("noexit")
    stays = session.remove("noexit")
    listed = session.listed("noexit")
    forced = session.remove("noexit", force=True)
    return {
        "load": loaded,
        "stays": stays,
        "listed": listed,
        "forced": forced,
        "left": session.listed("noexit"),
    }


def chores(session: Session) -> Record:
    """Work, a timer and a thread, each waited for; and work that is due when nobody waits."""
    before = session.last_sequence()
    loaded = session.load("chores")
    unloaded = session.remove("chores")
    return {"load": loaded, "unload": unloaded, "log": session.logged(before)}


def load_each(session: Session, names: Iterable[str], listing: Callable[[], list[str]]) -> Record:
    """Load and unload each module alone, to the letter of kmod; see ``load_one``."""

    def load(name: str) -> int:
        return int(session.load(name, kmod_exact=True).get("errno", 0))

    def unload(name: str) -> int:
        return int(session.unload(name, kmod_exact=True).get("errno", 0))

    def remove(name: str) -> bool:
        return not session.remove(name)

    return {name: load_one(name, load, unload, remove, listing) for name in names}


def load_one(
    name: str,
    load: Callable[[str], int],
    unload: Callable[[str], int],
    remove: Callable[[str], bool],
    listing: Callable[[], list[str]],
) -> Record:
    """Load a module and unload it, and what else is left of it.

    ``listing`` gives the lines of /proc/modules; ``added`` are the first four words of those that
    the load brought, ``left`` the names of those that the unload left, ``stuck`` of those that
    ``remove`` did not remove either.
    """
    before = {line.split()[0] for line in listing()}

    def fresh() -> list[str]:
        return [line for line in listing() if line.split()[0] not in before]

    loaded = load(name)
    added = sorted(" ".join(line.split()[:4]) for line in fresh())
    unloaded = unload(name)
    left = [line.split()[0] for line in fresh()]
    record = {"load": loaded, "added": added, "unload": unloaded, "left": sorted(left)}
    while [each for each in left if remove(each)]:
        left = [line.split()[0] for line in fresh()]
    return record | {"stuck": sorted(left)}


SCENARIOS: tuple[Scenario, ...] = (
    dependencies,
    parameters,
    set_parameters,
    bad_parameter,
    in_use,
    waits,
    failing_init,
    wrong_vermagic,
    unknown_symbol,
    taints,
    twice,
    absent,
    nonsense,
    compressed,
    builtin,
    no_exit,
    chores,
)


def run(session: Session, scenario: Callable[..., Record], *arguments: object) -> Record:
    """Return a scenario's record, or what went wrong with it."""
    try:
        return scenario(session, *arguments)
    except Exception:
        return {"broken": traceback.format_exc()}

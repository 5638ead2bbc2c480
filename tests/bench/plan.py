# SPDX-License-Identifier: Apache-2.0
"""Planning a load and looking an alias up on Debian's modules, beside kmod's own programs.

kmodd's times are those of the very code that the daemon runs, and of a warm client's call; kmod's
are those of ``modprobe -D`` and ``modprobe -R`` as processes, which is how they are had.
"""

import random
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from kmodd.config import Config
from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database
from kmodd.database.rebuild import rebuild
from kmodd.plan import LoadRequest, plan_load, resolve
from kmodd.v1.module_service_pb2 import LoadModulesRequest
from tests.bench.measure import Row, print_table, timed
from tests.support.daemon import running_daemon
from tests.support.debian import CACHE, unpacked_tree
from tests.support.require import find_tool

SAMPLE = 200
"""Modules and aliases that are asked for with a call, and with a process each."""


def run(repeat: int) -> None:
    """Measure everything and print the table."""
    tool = find_tool("modprobe")
    if tool is None:
        raise SystemExit("the reference, kmod's modprobe, is not installed")
    chance = random.Random(repeat)
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-", dir=CACHE) as directory:
        tree = unpacked_tree().copy(Path(directory, "plain"))
        database = rebuild(str(tree.directory), tree.release, config=DepmodConfig())
        modules = list(database.modules)
        aliases = _aliases(database, chance)
        served = (tree.root, "--no-watch", "--log-level", "warning")
        with running_daemon(*served) as daemon, daemon.client() as client:

            def plan_call(name: str) -> object:
                return client.load_modules(LoadModulesRequest(names=[name], dry_run=True))

            def process(option: str) -> Callable[[str], object]:
                begin = (tool, "-d", str(tree.root), "-S", tree.release, option)
                return lambda name: subprocess.run([*begin, name], capture_output=True, check=False)

            some, asked = chance.sample(modules, SAMPLE), chance.sample(aliases, SAMPLE)
            theirs = {"-D": _median(process("-D"), some), "-R": _median(process("-R"), asked)}
            rows = [
                Row("plan of a module", _median(_planning(database), modules), theirs["-D"]),
                Row("the same as a call", _median(plan_call, some), theirs["-D"]),
                Row("alias lookup", _median(_looking_up(database), aliases), theirs["-R"]),
                Row("the same as a call", _median(client.resolve, asked), theirs["-R"]),
            ]
    print_table("median of one", rows)
    print(f"\nplan of a module: {rows[0].ours * 1000:.3f} ms (wanted: less than 1)")
    print(f"alias lookup: {rows[2].ours * 1000:.4f} ms (wanted: less than 0.1)")


def _median(act: Callable[[str], object], names: Sequence[str]) -> float:
    """Return the median of the times of one call for each name, in seconds."""
    act(names[0])
    return median(timed(lambda name=name: act(name)) for name in names)  # type: ignore[misc]


def _planning(database: Database) -> Callable[[str], object]:
    config = Config()
    return lambda name: plan_load(LoadRequest(name=name), database, config, {})


def _looking_up(database: Database) -> Callable[[str], object]:
    config = Config()
    return lambda alias: resolve(alias, database, config)


def _aliases(database: Database, chance: random.Random) -> list[str]:
    """Return all aliases as a bus would ask for them, with something for each wildcard."""
    lines = database.files["modules.alias"].decode().splitlines()[1:]

    def fill(match: "re.Match[str]") -> str:
        return match[1] or chance.choice("01") * (match[0] != "*")

    return [re.sub(r"\*|\?|\[(.).*?\]", fill, line.split(" ")[1]) for line in lines]

# SPDX-License-Identifier: Apache-2.0
"""A storm of client processes, run as a program of its own.

Its words are the socket, a directory for results, how many clients, how many acts of each, how
many are doomed, a seed, and ``mixed`` or ``loads``. The clients are forked from one process that
has imported everything and connected nowhere, so that a machine of two cores has hundreds of them
in seconds. All begin at once. The doomed go on until they are killed, each at a time of its own;
each of the others leaves a file of JSON: the seconds of each act, and the reasons of failures.
"""

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kmodctl.client import Client
from kmodctl.errors import CallError
from kmodctl.holding import HeldModules
from kmodd.v1 import module_service_pb2, module_service_pb2_grpc  # noqa: F401  # before the fork

MODULES = tuple(f"m{number:02}" for number in range(50))

NEEDS = {
    name: tuple({MODULES[number // 2], MODULES[number // 3], MODULES[number * 2 // 3]} - {name})
    for number, name in enumerate(MODULES)
}
"""What each module needs: some of those before it, which many others need as well."""

EDGES = [(user, needed) for user, needs in NEEDS.items() for needed in needs]

KILLING = 1.5
"""Seconds within which the doomed are killed."""


@dataclass(frozen=True, slots=True)
class Storm:
    """What all clients have in common."""

    socket: str
    results: Path
    acts: int
    seed: int
    mixed: bool


def act(client: Client, chance: random.Random, holds: list[HeldModules], *, mixed: bool) -> None:
    """Do one thing: load a module, and where it is ``mixed``, perhaps unload or hold one."""
    name = chance.choice(MODULES)
    choice = chance.random() if mixed else 0.0
    if choice < 0.5:
        client.load(name)
    elif choice < 0.7:
        client.unload(name)
    elif choice < 0.8:
        client.list_modules()
    elif len(holds) < 2:
        holds.append(client.hold(name, unload=chance.random() < 0.5))
    else:
        holds.pop().close()


def run(storm: Storm, number: int, *, doomed: bool) -> None:
    """Be one client."""
    chance = random.Random(storm.seed * 10_000 + number)
    seconds: list[float] = []
    reasons: list[str] = []
    with Client(storm.socket) as client:
        holds: list[HeldModules] = []
        while doomed or len(seconds) < storm.acts:
            began = time.perf_counter()
            try:
                act(client, chance, holds, mixed=storm.mixed)
            except CallError as error:
                reasons.append(error.reason)
            seconds.append(time.perf_counter() - began)
    report = storm.results / f"{number}.json"
    report.write_text(json.dumps({"seconds": seconds, "reasons": reasons}))


def main() -> None:
    socket, results, clients, acts, doomed, seed, mixed = sys.argv[1:]
    storm = Storm(socket, Path(results), int(acts), int(seed), mixed == "mixed")
    waiting, go = os.pipe()
    processes = []
    for number in range(int(clients)):
        process = os.fork()
        if not process:
            os.close(go)
            os.read(waiting, 1)  # ends when the parent has closed its end
            run(storm, number, doomed=number < int(doomed))
            os._exit(0)
        processes.append(process)
    os.close(go)
    chance = random.Random(storm.seed)
    moments = sorted((chance.uniform(0, KILLING), each) for each in processes[: int(doomed)])
    began = time.monotonic()
    for moment, process in moments:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        os.kill(process, signal.SIGKILL)
    failed = 0
    for number, process in enumerate(processes):
        _, status = os.waitpid(process, 0)
        failed += number >= int(doomed) and status != 0
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What the daemon has counted and measured, as families of metrics.

Names follow https://prometheus.io/docs/practices/naming. No label has a value that a caller
chooses, so a daemon has some hundred samples whatever happens to it.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kmodd import __version__
from kmodd.access.caller import Role
from kmodd.desired.findings import Standing
from kmodd.host.descriptors import entries
from kmodd.kernel.base import Kernel
from kmodd.kernel.taints import LETTERS
from kmodd.messages.daemon_service import METRIC_KIND_COUNTER as COUNTER
from kmodd.messages.daemon_service import METRIC_KIND_GAUGE as GAUGE
from kmodd.messages.daemon_service import METRIC_KIND_HISTOGRAM as HISTOGRAM
from kmodd.messages.daemon_service import (
    GetMetricsResponse,
    MetricFamily,
    MetricLabel,
    MetricSample,
)
from kmodd.namespace import Namespace, Origin
from kmodd.namespace.state_keeper import StateKeeper
from kmodd.queries.messages import text
from kmodd.service.connections import Connections
from kmodd.tallies import BOUNDS, Spread
from kmodd.trees import Trees

Samples = Mapping[tuple[str, ...], float]
"""Numbers by the values of their labels."""


class Metrics:
    """The metrics of a daemon; for any thread."""

    def __init__(
        self,
        kernel: Kernel,
        trees: Trees,
        namespace: Namespace,
        keeper: StateKeeper,
        connections: Connections,
        started: float,
    ) -> None:
        """``started`` is when the daemon started, in seconds of Unix time."""
        self._kernel = kernel
        self._trees = trees
        self._namespace = namespace
        self._keeper = keeper
        self._connections = connections
        self._started = started

    def answer(self) -> bytes:
        """Return all of them as GetMetrics answers, in its bytes."""
        return GetMetricsResponse(families=[*self.families(), *self.of_process()]).encode()

    def families(self) -> Iterator[MetricFamily]:
        """Yield what stays the same while nothing happens."""
        yield from self._daemon()
        yield from self._operations()
        yield from self._modules()
        yield from self._tree()
        yield from self._wishes()
        yield from self._callers()

    def of_process(self) -> Iterator[MetricFamily]:
        """Yield what the process takes, which is never the same for long."""
        pages = _first_numbers("/proc/self/statm")
        memory = pages[1] * os.sysconf("SC_PAGESIZE") if len(pages) > 1 else 0
        yield _one("process_resident_memory_bytes", memory, "Memory of the daemon's process.")
        yield _family(
            "process_cpu_seconds",
            COUNTER,
            "Processor time of the daemon's process.",
            (),
            {(): time.process_time()},
        )
        yield _one("process_threads", entries("/proc/self/task"), "Threads of the process.")
        files = entries("/proc/self/fd") - 1
        yield _one("process_open_files", files, "Files, sockets and the like that it has open.")

    def _daemon(self) -> Iterator[MetricFamily]:
        names = ("version", "kernel", "release")
        about = (__version__, self._kernel.kind, text(self._kernel.release))
        yield _family("build_info", GAUGE, "What the daemon is, and serves.", names, {about: 1})
        yield _one("start_time_seconds", self._started, "When the daemon started, in Unix time.")

    def _operations(self) -> Iterator[MetricFamily]:
        counts, activity = self._namespace.counts, self._namespace.activity()
        results: Counter[tuple[str, ...]] = Counter(counts.results.read())
        results["load", "unchanged"] += counts.passed_by
        yield _family(
            "operations",
            COUNTER,
            "Operations that have ended, loads among them, by what became of them.",
            ("action", "result"),
            {key: results[key] for key in sorted(results)},
        )
        yield _family(
            "operation_failures",
            COUNTER,
            "Operations that have failed, by the reason.",
            ("action", "reason"),
            counts.failures.read(),
        )
        yield _histogram(
            "operation_duration_seconds",
            "How long operations took that did something or failed.",
            ("action",),
            counts.durations.read(),
        )
        yield _histogram(
            "module_wait_seconds",
            "How long an operation waited for another to be done with the same module.",
            (),
            self._namespace.waits.read() or {(): NOTHING},
        )
        yield _one("operations_under_way", len(activity.operations), "Operations under way.")
        yield _one("holds", len(activity.holds), "Holds, each of which keeps modules loaded.")
        yield _one("watches", activity.watches, "Clients that follow the events.")

    def _modules(self) -> Iterator[MetricFamily]:
        modules = self._namespace.counts.modules.read()
        for what, words in (("loaded", "put into"), ("unloaded", "taken out of")):
            yield _family(
                f"modules_{what}",
                COUNTER,
                f"Modules that the daemon has {words} the kernel.",
                (),
                {(): modules.get((what,), 0)},
            )
        names = (module.name for module in self._namespace.listing().modules)
        origins = Counter(map(self._namespace.origin_of, names))
        yield _family(
            "modules",
            GAUGE,
            "Modules in the kernel, by how they came there.",
            ("origin",),
            {(origin.value,): origins[origin] for origin in Origin},
        )
        mask = self._kernel.identity().taint_mask
        yield _one("kernel_taint_mask", mask, "The kernel's taints, as /proc/sys/kernel/tainted.")
        yield _family(
            "kernel_taint",
            GAUGE,
            "Whether the kernel has the taint of this letter.",
            ("letter",),
            {(letter,): mask >> bit & 1 for bit, letter in enumerate(LETTERS)},
        )
        sealed = self._namespace.sealing.seal is not None
        yield _one("kernel_sealed", sealed, "Whether the kernel takes no module any more.")

    def _tree(self) -> Iterator[MetricFamily]:
        rebuilds = self._trees.rebuilds.read()
        yield _histogram(
            "rebuild_duration_seconds",
            "How long it took to read a module tree and to write its databases.",
            ("result",),
            {(result,): rebuilds.get((result,), NOTHING) for result in ("done", "failed")},
        )
        generation = self._trees.in_force()
        summary = generation.summary if generation else None
        healthy = summary is not None and not summary.problem
        yield _one("database_healthy", healthy, "Whether the databases are in force and on disk.")
        if summary is not None:
            built = summary.built.timestamp()
            yield _one("database_built_time_seconds", built, "When they were made, in Unix time.")
            yield _one("database_generation", summary.number, "How often they have changed.")
            yield _one("database_modules", summary.module_count, "Modules in the kernel's tree.")
            left_out = len(summary.left_out)
            yield _one("database_modules_left_out", left_out, "Of these, what cannot be loaded.")

    def _wishes(self) -> Iterator[MetricFamily]:
        findings = self._keeper.state.findings
        standings = Counter(each.standing for each in findings if each.wish is not None)
        yield _family(
            "wishes",
            GAUGE,
            "Modules that something is wished of, by how the wish fares.",
            ("standing",),
            {(standing.value,): standings[standing] for standing in Standing},
        )

    def _callers(self) -> Iterator[MetricFamily]:
        connections, roles = self._connections, tuple(map(str, Role))
        taken, open_now = connections.taken.read(), connections.roles()
        yield _family(
            "connections",
            GAUGE,
            "Connections, by the role that they have.",
            ("role",),
            {(role,): open_now[role] for role in roles},
        )
        yield _family(
            "connections_accepted",
            COUNTER,
            "Connections that were accepted.",
            ("role",),
            {(role,): taken.get((role,), 0) for role in roles},
        )
        yield _family(
            "connections_refused",
            COUNTER,
            "Connections that were closed at once, since there were too many.",
            ("role",),
            connections.refused.read(),
        )
        denials: Counter[tuple[str, ...]] = Counter(connections.denials.read())
        denials.update(self._namespace.counts.denials.read())
        yield _family(
            "denials",
            COUNTER,
            "Calls and operations that were denied, or were too many, by who asked.",
            ("role", "reason"),
            {key: denials[key] for key in sorted(denials)},
        )


NOTHING = Spread((0,) * len(BOUNDS), 0, 0.0)
"""What has not been measured yet."""


def _one(name: str, value: float, words: str) -> MetricFamily:
    """Return a family of one sample without labels."""
    return _family(name, GAUGE, words, (), {(): value})


def _family(
    name: str, kind: int, words: str, labels: Sequence[str], samples: Samples
) -> MetricFamily:
    suffix = "_total" if kind == COUNTER else ""
    return MetricFamily(
        name=f"kmodd_{name}",
        kind=kind,
        unit=_unit(name),
        help=words,
        samples=[
            _sample(f"{name}{suffix}", zip(labels, values, strict=True), number)
            for values, number in samples.items()
        ],
    )


def _histogram(
    name: str, words: str, labels: Sequence[str], spreads: Mapping[tuple[str, ...], Spread]
) -> MetricFamily:
    samples: list[MetricSample] = []
    for values, spread in spreads.items():
        given = tuple(zip(labels, values, strict=True))
        bounds = (*map(str, BOUNDS), "+Inf")
        samples += [
            *(
                _sample(f"{name}_bucket", (*given, ("le", bound)), count)
                for bound, count in zip(bounds, (*spread.within, spread.count), strict=True)
            ),
            _sample(f"{name}_count", given, spread.count),
            _sample(f"{name}_sum", given, spread.seconds),
        ]
    return MetricFamily(
        name=f"kmodd_{name}",
        kind=HISTOGRAM,
        unit=_unit(name),
        help=words,
        samples=samples,
    )


def _sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> MetricSample:
    given = [MetricLabel(name=label, value=each) for label, each in labels]
    return MetricSample(name=f"kmodd_{name}", labels=given, value=value)


def _unit(name: str) -> str:
    """Return the unit that a family's name ends with."""
    return next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), "")


def _first_numbers(path: str) -> list[int]:
    """Return the numbers of a file's first line, none where it is not there (proc(5))."""
    try:
        with open(path) as file:
            return [int(word) for word in file.readline().split()]
    except OSError:
        return []

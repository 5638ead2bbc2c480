# SPDX-License-Identifier: Apache-2.0
"""Listing 200 loaded modules: as read of /proc/modules, and as a call of a warm client.

The kernel gives /proc/modules a page at a time, which a file of the same text does not; the reads
of a real one add some 0.1 ms.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from kmodctl import CallError, Client
from kmodd.kernel.base import LoadedModule
from kmodd.kernel.linux import LinuxKernel
from tests.bench.measure import timed
from tests.support.daemon import running_daemon
from tests.support.debian import DebianTree, unpacked_tree

COUNT = 200
ROUNDS = 50
"""Listings whose median is one run."""

WANTED = 0.002
"""Seconds."""


def run(repeat: int) -> None:
    """Measure everything and print a line for each."""
    with tempfile.TemporaryDirectory(prefix="kmodd-bench-") as directory:
        changed, unchanged = _of_proc(Path(directory), repeat)
    called = _as_a_call(unpacked_tree(), repeat)
    for name, seconds in (
        ("/proc/modules, changed since the last listing", changed),
        ("/proc/modules, unchanged", unchanged),
        ("ListModules on the emulated kernel, received and parsed", called),
    ):
        print(f"{name}: {seconds * 1000:.3f} ms (wanted: less than {WANTED * 1000:g})")


def _of_proc(proc: Path, repeat: int) -> tuple[float, float]:
    """Return the times of a listing that has changed and of one that has not, in seconds."""
    texts = [_proc_modules(references) for references in range(ROUNDS)]
    kernel = LinuxKernel(proc=proc)

    def changed() -> float:
        times = []
        for text in texts:
            (proc / "modules").write_text(text)
            times.append(timed(kernel.modules))
            assert len(kernel.modules()) == COUNT
        return median(times)

    found = min(changed() for _ in range(repeat)), _best(kernel.modules, repeat)
    kernel.close()
    return found


def _as_a_call(tree: DebianTree, repeat: int) -> float:
    """Return the time of the call with as many modules loaded."""
    with (
        running_daemon(tree.root, "--no-watch", "--no-publish", "--log-level", "warning") as daemon,
        daemon.client() as client,
    ):
        names = sorted(path.stem for path in tree.directory.glob("kernel/fs/nls/*.ko"))
        names += sorted(path.stem for path in tree.directory.glob("kernel/net/netfilter/*.ko"))
        for name in names:
            if len(client.list_modules()) >= COUNT:
                break
            _load(client, name)
        assert len(client.list_modules()) >= COUNT, "too few modules could be loaded"
        return _best(client.list_modules, repeat)


def _load(client: Client, name: str) -> None:
    try:
        client.load(name)
    except CallError as error:
        print(f"{name}: {error.message}")


def _best(action: Callable[[], object], repeat: int) -> float:
    """Return the least median of ``repeat`` runs: what else the machine does only adds."""
    return min(median(timed(action) for _ in range(ROUNDS)) for _ in range(repeat))


def _proc_modules(references: int) -> str:
    """The text of a kernel whose modules have so many references, and three users each."""
    return "".join(
        LoadedModule(
            name=f"module_number_{number}",
            size=16384 + number,
            refcount=references + 3,
            holders=tuple(f"user_{number}_{each}" for each in range(3)),
            address=0xFFFFFFFFC0000000 + (number << 16),
            taints="OE",
        ).proc_line()
        + "\n"
        for number in range(COUNT)
    )

# SPDX-License-Identifier: Apache-2.0
"""What later tests wait for, made beside the tests before them: systems, the package, the guests.

``python -m tests.ahead PLACE NAME...`` makes it, two things at a time, and leaves each below PLACE;
the tests of a run ask ``Ahead`` for it. The processor is the tests' own, and these have what is
left: a guest's clock goes by what it executes.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import wait_until
from tests.support.sources import PROJECT

SIDE_BY_SIDE = 2
"""What is made at a time: each keeps a processor busy."""

SEED = 1
"""Which of Debian's modules are drawn for the first guest."""

DRAWN = 40
"""How many of them."""

LIVES = ("bookworm", "trixie")
"""The suites of Debian's in which the package lives."""

Made = Callable[[str], Any]
"""Gives what is made by its name, once it is."""

FIXTURES: Mapping[str, tuple[str, ...]] = {
    "layout": ("layout",),
    "real": ("layout", "real"),
    "service": ("layout", "service"),
    "owned": ("owned",),
    "life": ("package", *LIVES),
}
"""What a test needs that has such a fixture."""

MARK = "ahead"
"""The mark of a test that needs what the mark names."""


class Ahead:
    """What is made ahead in ``place``, by a process that begins at once and ends with the run."""

    def __init__(self, place: Path, names: Iterable[str]) -> None:
        """``names`` are of JOBS."""
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        asked = set(names)
        self.names = tuple(name for name in _jobs() if name in asked) if asked else ()
        if self.names:
            with (place / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    ["nice", "-n19", sys.executable, "-m", "tests.ahead", place, *self.names],
                    cwd=PROJECT,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    process_group=0,  # in a session of its own it might not be nice to the others
                )

    def get(self, name: str) -> Any:
        """Wait for what ``names`` has, and return it; skips or fails as the making of it did."""
        process, file = self._process, self._place / f"{name}.made"
        assert process is not None, f"{name} is not made ahead"
        wait_until(
            lambda: file.exists() or process.poll() is not None, seconds=float("inf"), pause=0.2
        )
        assert file.exists(), f"{name} was not made: {(self._place / 'log').read_text()}"
        ended, value = pickle.loads(file.read_bytes())
        if ended == "skipped":
            pytest.skip(value)
        assert ended == "made", value
        return value

    def end(self) -> None:
        """End what is still being made."""
        if self._process is not None:
            self._process.communicate()


def needs(item: pytest.Item) -> set[str]:
    """Return what a test needs of what is made ahead."""
    found = {name for mark in item.iter_markers(MARK) for name in mark.args}
    fixtures: Iterable[str] = getattr(item, "fixturenames", ())
    return found.union(*(FIXTURES.get(fixture, ()) for fixture in fixtures))


def main(place: Path, names: Iterable[str]) -> None:
    """Make what is named, in that order, for as long as the standard input is open."""
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    jobs = _jobs()
    futures: dict[str, Future[Any]] = {}

    def made(name: str) -> Any:
        return futures[name].result()

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for name in names:
            work = place / name
            work.mkdir()
            futures[name] = pool.submit(jobs[name], work, made)
            futures[name].add_done_callback(partial(_keep, place, name))


def _end_with_the_tests() -> None:
    """End, with all that was started, once whoever started this has ended, however that came."""
    os.read(sys.stdin.fileno(), 1)
    os.killpg(0, signal.SIGTERM)


def _keep(place: Path, name: str, future: "Future[Any]") -> None:
    """Leave what was made, or why not, where it is looked for; it is there as a whole."""
    error = future.exception()
    kept: tuple[str, Any]
    if error is None:
        kept = ("made", future.result())
    elif isinstance(error, pytest.skip.Exception):
        kept = ("skipped", str(error))
    else:
        kept = ("failed", "".join(traceback.format_exception(error)))
    temporary = place / f".{name}"
    temporary.write_bytes(pickle.dumps(kept))
    temporary.rename(place / f"{name}.made")


def _jobs() -> dict[str, Callable[[Path, Made], object]]:
    """Return what can be made by its name, each after what it needs; imports what makes it."""
    from tests.realkernel import boots
    from tests.realkernel.layout import Layout, lay_out
    from tests.realkernel.lessons import build_lessons
    from tests.realkernel.reloads import build_chain
    from tests.support.debian import headers, tree_of, unpacked_tree
    from tests.support.modules import build
    from tests.support.package import build_package
    from tests.support.systems import system_of

    def layout(work: Path, _made: Made) -> Layout:
        build(work / "built", headers())
        build_chain(work / "chain", headers())
        build_lessons(work / "lessons", headers())
        return lay_out(unpacked_tree(), work, work / "lessons", seed=SEED, count=DRAWN)

    def owned(work: Path, _made: Made) -> object:
        suite = os.environ.get("KMODD_GUEST_SUITE")
        return boots.boot_owned(tree_of(suite) if suite else unpacked_tree(), work)

    def system(suite: str) -> Callable[[Path, Made], object]:
        return lambda _work, _made: system_of(suite)

    def life(suite: str) -> Callable[[Path, Made], object]:
        return lambda work, made: boots.boot_package(suite, made("package"), work)

    return {
        **{f"{suite} system": system(suite) for suite in ("trixie", "sid", "bullseye")},
        "layout": layout,
        "package": lambda work, _made: build_package(PROJECT, work),
        "real": lambda work, made: boots.boot_kernel(unpacked_tree(), made("layout"), work),
        "service": lambda work, made: boots.boot_service(unpacked_tree(), made("layout"), work),
        "owned": owned,
        **{suite: life(suite) for suite in LIVES},
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

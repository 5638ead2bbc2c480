# SPDX-License-Identifier: Apache-2.0
"""One boot of each guest, and what came of it; the same asked of the emulated kernel.

``KMODD_GUEST_SUITE=trixie`` has another Debian's kernel in the guest with devices.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.realkernel.boots import (
    Outcomes,
    boot_kernel,
    boot_owned,
    boot_package,
    boot_service,
    emulate,
)
from tests.realkernel.layout import Layout, lay_out
from tests.realkernel.reloads import build_chain
from tests.support.debian import DebianTree, headers, tree_of
from tests.support.modules import build

SEED = 1
"""Which of Debian's modules are drawn."""

DRAWN = 40
"""How many of them."""

SIDE_BY_SIDE = 2
"""Guests that run at a time."""

BOOTS = {
    "real": boot_kernel,
    "service": boot_service,
    "owned": boot_owned,
}
"""The guests by the name of the fixture that gives what came of them."""

LIVES = ("bookworm", "trixie")
"""The suites of Debian's in which the package lives."""


@pytest.fixture(scope="session")
def layout(
    debian_tree: DebianTree, built_lessons: Path, tmp_path_factory: pytest.TempPathFactory
) -> Layout:
    """The module tree, with our modules built for the kernel that is booted."""
    place = tmp_path_factory.mktemp("realkernel")
    build(place / "built", headers())
    build_chain(place / "chain", headers())
    return lay_out(debian_tree, place, built_lessons, seed=SEED, count=DRAWN)


@pytest.fixture(scope="session")
def device_tree(debian_tree: DebianTree) -> DebianTree:
    """The kernel package of the guest with devices, which needs no module of ours."""
    suite = os.environ.get("KMODD_GUEST_SUITE")
    return tree_of(suite) if suite else debian_tree


@pytest.fixture(scope="session")
def boots(
    request: pytest.FixtureRequest,
    debian_tree: DebianTree,
    device_tree: DebianTree,
    layout: Layout,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, Future[Outcomes]]]:
    """The guests that the tests of this run ask for, two at a time: each keeps one core busy."""
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        guests = {
            name: pool.submit(
                boot,
                device_tree if name == "owned" else debian_tree,
                layout,
                tmp_path_factory.mktemp(name),
            )
            for name, boot in BOOTS.items()
            if name in asked
        }
        for suite in LIVES if "life" in asked else ():
            package = request.getfixturevalue("package")  # made while the others run
            work = tmp_path_factory.mktemp(suite)
            guests[suite] = pool.submit(boot_package, suite, package, work)
        yield guests


@pytest.fixture(scope="session")
def real(boots: Mapping[str, Future[Outcomes]], emulated: Outcomes) -> Outcomes:  # noqa: ARG001  # meanwhile
    """What Debian's kernel did."""
    return _awaited(boots["real"])


@pytest.fixture(scope="session")
def service(boots: Mapping[str, Future[Outcomes]]) -> Outcomes:
    """What came of kmodd.service in a guest whose first process is systemd."""
    return _awaited(boots["service"])


@pytest.fixture(scope="session")
def owned(boots: Mapping[str, Future[Outcomes]]) -> Outcomes:
    """What came of it where kmodd has the loads of a machine with udev."""
    return _awaited(boots["owned"])


@pytest.fixture(scope="session", params=LIVES)
def life(request: pytest.FixtureRequest, boots: Mapping[str, Future[Outcomes]]) -> Outcomes:
    """What came of the package in a suite of Debian's after the other."""
    return _awaited(boots[request.param])


@pytest.fixture(scope="session")
def emulated(layout: Layout) -> Outcomes:
    """What the emulated kernel does when it is asked the same."""
    return emulate(layout)


def _awaited(guest: Future[Outcomes]) -> Outcomes:
    """Wait for a guest; pytest shows what it said with a failure."""
    outcomes = guest.result()
    sys.stderr.write(outcomes.log)
    return outcomes

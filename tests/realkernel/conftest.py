# SPDX-License-Identifier: Apache-2.0
"""One boot of each guest, and what came of it; the same asked of the emulated kernel.

The guests run beside the tests before these (tests/ahead.py). ``KMODD_GUEST_SUITE=trixie`` has
another Debian's kernel in the guest with devices.
"""

import sys

import pytest

from tests.ahead import LIVES, Ahead
from tests.realkernel.boots import Outcomes, emulate, virtualise
from tests.realkernel.layout import Layout
from tests.support.debian import DebianTree


@pytest.fixture(scope="session")
def layout(ahead: Ahead) -> Layout:
    """The module tree, with our modules built for the kernel that is booted."""
    made: Layout = ahead.get("layout")
    return made


@pytest.fixture(scope="session")
def real(ahead: Ahead, emulated: Outcomes) -> Outcomes:  # noqa: ARG001  # meanwhile
    """What Debian's kernel did."""
    return _awaited(ahead, "real")


@pytest.fixture(scope="session")
def service(ahead: Ahead) -> Outcomes:
    """What came of kmodd.service in a guest whose first process is systemd."""
    return _awaited(ahead, "service")


@pytest.fixture(scope="session")
def owned(ahead: Ahead) -> Outcomes:
    """What came of it where kmodd has the loads of a machine with udev."""
    return _awaited(ahead, "owned")


@pytest.fixture(scope="session", params=LIVES)
def life(request: pytest.FixtureRequest, ahead: Ahead) -> Outcomes:
    """What came of the package in a suite of Debian's after the other."""
    return _awaited(ahead, request.param)


@pytest.fixture(scope="session")
def emulated(layout: Layout) -> Outcomes:
    """What the emulated kernel does when it is asked the same."""
    return emulate(layout)


@pytest.fixture(scope="session")
def virtual(layout: Layout, debian_tree: DebianTree) -> Outcomes:
    """What Debian's kernel does in a virtual machine of the daemon's."""
    return virtualise(debian_tree, layout)


def _awaited(ahead: Ahead, name: str) -> Outcomes:
    """Wait for a guest; pytest shows what it said with a failure."""
    outcomes: Outcomes = ahead.get(name)
    sys.stderr.write(outcomes.log)
    return outcomes

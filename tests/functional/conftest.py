# SPDX-License-Identifier: Apache-2.0
"""Daemons for the functional tests."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.tree import ModuleTree


@pytest.fixture
def daemon(modules_root: ModuleTree) -> Iterator[Daemon]:
    """A daemon of its own for the test, on a root with the modules of tests/modules."""
    with running_daemon(modules_root.root) as running:
        yield running

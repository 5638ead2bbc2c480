# SPDX-License-Identifier: Apache-2.0
"""A daemon on the machine's kernel does without the configuration that others may write."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import running_daemon, wait_until
from tests.support.modules import module_tree
from tests.support.tree import ModuleTree
from tests.support.trusted import trusted_directory


@pytest.fixture
def tree() -> Iterator[ModuleTree]:
    """A root that is root's, with the modules of tests/modules for the running release."""
    with trusted_directory() as place:
        found = module_tree(place / "root")
        own = ModuleTree(found.root, os.uname().release)
        found.directory.rename(own.directory)
        yield own


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_status_says_what_is_not_read_until_it_is_mended(tree: ModuleTree) -> None:
    local = tree.root / "usr/local"
    write(local / "lib/modprobe.d/local.conf", "options greet whom=local\n")
    write(local / "lib/modules-load.d/local.conf", "greet\n")
    write(tree.root / "etc/modprobe.d/own.conf", "options greet times=2\n")
    local.chmod(0o2775)
    extra = tree.directory / "extra"
    why = f"is not read: {local} may be written by others than root (mode 2775)"
    unread, at_start = (f"{local}/lib/{kind} {why}" for kind in ("modprobe.d", "modules-load.d"))
    settings = 'kernel = "linux"\nload_at_start = true\n[[socket]]\npath = "@/run/kmodd.sock"\n'
    with running_daemon(tree.root, "--no-publish", settings=settings) as daemon:
        planned = daemon.kmodctl("modprobe", "-D", "greet")
        assert (planned.stdout, planned.stderr) == (f"insmod {extra}/greet.ko times=2 \n", "")
        with daemon.client() as client:
            wait_until(lambda: bool(client.status().start_failures))
            (listed,) = client.list_trees()
        assert list(listed.unread_configuration) == [unread]
        told = daemon.kmodctl("status").stdout.splitlines()
        assert f"problem:   {unread}" in told
        assert f"at start:  {at_start}" in told
        status = json.loads(daemon.kmodctl("--json", "status").stdout)
        assert status["tree"]["unread_configuration"] == [unread]
        log = daemon.log.read_text()
        assert [log.count(line) for line in (unread, at_start)] == [1, 1]

        local.chmod(0o2755)
        assert daemon.kmodctl("depmod").returncode == 0
        planned = daemon.kmodctl("modprobe", "-D", "greet")
        assert planned.stdout == f"insmod {extra}/greet.ko whom=local times=2 \n"
        assert unread not in daemon.kmodctl("status").stdout


def test_status_says_why_a_tree_is_refused(tree: ModuleTree) -> None:
    tree.directory.chmod(0o775)
    why = f"refused: {tree.directory} may be written by others than root (mode 0775)"
    with running_daemon(tree.root, "--kernel", "linux", "--no-publish") as daemon:
        assert f"database:  none: {why}" in daemon.kmodctl("status").stdout.splitlines()
        tree.directory.chmod(0o755)
        assert daemon.kmodctl("depmod").returncode == 0
        assert "database:  generation 1" in daemon.kmodctl("status").stdout


def test_a_daemon_on_a_kernel_of_its_own_reads_what_its_user_wrote(tree: ModuleTree) -> None:
    write(tree.root / "etc/modprobe.d/own.conf", "options greet times=2\n")
    (tree.root / "etc/modprobe.d").chmod(0o777)
    with running_daemon(tree.root, "--release", tree.release) as daemon:
        assert daemon.kmodctl("modprobe", "-D", "greet").stdout.endswith(" times=2 \n")
        assert "problem:" not in daemon.kmodctl("status").stdout

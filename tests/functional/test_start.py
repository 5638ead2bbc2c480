# SPDX-License-Identifier: Apache-2.0
"""What is loaded when the daemon starts, and the trail that it leaves."""

import json
from pathlib import Path

from tests.support.daemon import running_daemon, wait_until
from tests.support.tree import ModuleTree


def configure(tree: ModuleTree, **files: str) -> None:
    directory = tree.root / "etc" / "modules-load.d"
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / f"{name}.conf").write_text(text)


def test_modules_load_d_is_honoured_and_failures_are_told_one_by_one(
    modules_root: ModuleTree, tmp_path: Path
) -> None:
    configure(modules_root, a="nosuch\nworld\n", b="neither\nfacade\n")
    trail = tmp_path / "audit"
    settings = f'load_at_start = true\naudit_file = "{trail}"\n'
    settings += '[[socket]]\npath = "@/run/kmodd.sock"\n'
    with running_daemon(modules_root.root, settings=settings) as daemon:
        with daemon.client() as client:
            wait_until(lambda: len(client.list_modules()) == 3)
            assert [each.name for each in client.list_modules()] == ["facade", "world", "greet"]
            first, second = client.status().start_failures
        directory = modules_root.root / "etc" / "modules-load.d"
        assert first.startswith(f"{directory}/a.conf:1: nosuch: module nosuch not found")
        assert second.startswith(f"{directory}/b.conf:1: neither: module neither not found")
        assert first in daemon.log.read_text()
        assert f"at start:  {first}" in daemon.kmodctl("status").stdout
        lines = [json.loads(line) for line in trail.read_text().splitlines()]
        assert [line["what"] for line in lines] == ["nosuch", "world", "neither", "facade"]
        assert [line["socket"] for line in lines] == [""] * 4


def test_modules_load_d_is_left_alone_unless_asked_for(modules_root: ModuleTree) -> None:
    configure(modules_root, a="world\n")
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        assert client.list_modules() == []

# SPDX-License-Identifier: Apache-2.0
"""What the client brings with it, and what it must not."""

import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    """The modules that an interpreter of its own holds after ``statement``."""
    script = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\n"
    script += "print('\\n'.join(sys.modules), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["modprobe", "--help"], ["completion", "zsh"], []]
)
def test_help_version_and_completion_never_import_grpc(words: list[str]) -> None:
    loaded = modules_after(f"from kmodctl.cli import main; main({words!r})")
    assert "kmodctl.cli" in loaded
    assert not [name for name in loaded if name.partition(".")[0] in ("grpc", "google")]


def test_without_a_daemon_grpc_is_not_imported_either() -> None:
    loaded = modules_after(
        "from kmodctl.cli import main; main(['--socket', '/nowhere/s', 'lsmod'])"
    )
    assert "grpc" not in loaded


@pytest.mark.parametrize("name", ["depmod", "modinfo"])
def test_what_needs_no_daemon_imports_neither_grpc_nor_a_service(name: str) -> None:
    loaded = modules_after(f"import kmodd.oneshot.{name}")
    assert f"kmodd.oneshot.{name}" in loaded
    assert not loaded & {"grpc", "kmodd.service", "kmodd.daemon", "kmodd.server"}


def test_the_client_imports_nothing_of_the_daemon_but_its_stubs() -> None:
    loaded = modules_after("import kmodctl, kmodctl.cli; kmodctl.Client")
    assert "grpc" in loaded
    daemons = {name for name in loaded if name.partition(".")[0] == "kmodd"}
    assert {name for name in daemons if not name.startswith("kmodd.v1")} <= {"kmodd"}


def test_the_client_imports_the_messages_of_a_service_when_it_is_asked() -> None:
    loaded = modules_after("import kmodctl.cli, kmodctl.commands.lsmod, kmodctl.client")
    costly = ("dataclasses", "google.protobuf", "json", "kmodd.v1", "urllib.parse")
    assert not loaded.intersection(costly)


def test_the_methods_of_the_api_are_known_without_grpc_and_protobuf() -> None:
    loaded = modules_after("from kmodctl.services import ModuleService; ModuleService.ListModules")
    assert "kmodctl.services" in loaded
    assert not [name for name in loaded if name.startswith(("grpc", "google", "kmodd."))]


def test_the_package_exports_what_it_says() -> None:
    import kmodctl

    assert sorted(kmodctl.__all__) == ["CallError", "Client", "KmodctlError", "NoDaemonError"]
    assert all(getattr(kmodctl, name).__name__ == name for name in kmodctl.__all__)

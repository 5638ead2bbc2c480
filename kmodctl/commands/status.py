# SPDX-License-Identifier: Apache-2.0
"""status: tell what the daemon is and how it fares

Shows its kernel, its module tree, and whether that kernel runs the modules' own code.
"""

import argparse
from typing import TYPE_CHECKING

from kmodctl.output import Output

if TYPE_CHECKING:
    from kmodctl.client import Client
    from kmodd.v1 import daemon_service_pb2


def configure(_parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""


def run(_options: argparse.Namespace, client: "Client", output: Output) -> int:
    """Print the status, a fact a line."""
    status = client.status()
    if output.json:
        output.message(status)
        return 0
    for name, value in _facts(status):
        output.data(f"{name + ':':<10} {value}")
    return 0


def _facts(status: "daemon_service_pb2.GetStatusResponse") -> list[tuple[str, str]]:
    from kmodd.v1 import daemon_service_pb2 as pb

    kind = pb.KernelKind.Name(status.kernel).removeprefix("KERNEL_KIND_").lower()
    role = pb.Role.Name(status.role).removeprefix("ROLE_").lower()
    tree = status.tree
    facts = [
        ("daemon", f"kmodd {status.version}, pid {status.pid}, up {status.uptime.seconds} s"),
        ("kernel", f"{status.release} ({kind})"),
        ("vermagic", status.vermagic or "not known"),
        ("symbols", status.symbol_source),
        ("boot id", status.boot_id or "not known"),
        ("taints", f"{status.taints} ({status.taint_mask})" if status.taint_mask else "none"),
        ("init", "run" if status.runs_init else "init not run: modules are loaded, not executed"),
        ("modules", f"{status.loaded_count} loaded"),
        ("root", status.root),
        ("role", role),
    ]
    if status.HasField("tree"):
        state = "published" if tree.published else "in memory only"
        facts.append(
            (
                "database",
                f"generation {tree.generation}, {tree.module_count} modules, {state}",
            )
        )
        if tree.problem:
            facts.append(("problem", tree.problem))
    else:
        facts.append(("database", "none: the release has no module tree"))
    return facts

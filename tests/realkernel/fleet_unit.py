# SPDX-License-Identifier: Apache-2.0
"""kmodd-fleet.service in the guest, and an etcd on its loopback that an operator writes to."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.realkernel.public_socket import KMODCTL
from tests.realkernel.scenarios import Record, Session
from tests.realkernel.service_unit import (
    PATIENCE,
    exposure,
    main_pid,
    reload,
    rights_of,
    shown,
    systemctl,
)
from tests.support.certificates import Certificate
from tests.support.daemon import wait_until
from tests.support.etcd import EtcdCluster, running_etcd
from tests.support.wishes import wishes

UNIT = "kmodd-fleet.service"
SETTINGS = Path("/etc/kmodd/fleet.toml")
FILES = SETTINGS.with_suffix("")
GRANT = Path("/etc/kmodd/kmodd.toml.d/fleet.toml")
ALLOWED, REFUSED = "drivers", "closed"
"""What the wishes are called."""

STEWARD = f"""\
[[grant]]
role = "steward"
units = ["{UNIT}"]
allow = ["greet"]
"""
"""What kmodd-fleet(7) has in kmodd.toml, for one module."""


def fleet(_session: Session) -> Record:
    """Two wishes come, of which one names a module that the agent may not wish for."""
    with running_etcd(Path("/run/etcd")) as cluster:
        operator = cluster.operator
        assert operator is not None
        _configure(cluster, operator)
        reload()
        systemctl("start", UNIT)
        pid = main_pid(UNIT)
        _apply(cluster, operator, ALLOWED, wishes("greet loaded"))
        _apply(cluster, operator, REFUSED, wishes("world loaded"))
        wait_until(lambda: _are_decided(_fates(cluster, operator)), seconds=PATIENCE, pause=1.0)
        rights = rights_of(pid)
        record = {
            "unit": shown("ActiveState", "NRestarts", unit=UNIT),
            "exposure": exposure(UNIT),
            "uid": int(rights["Uid"].split()[0]),
            "rights": {name: rights[name] for name in ("CapPrm", "CapEff", "NoNewPrivs")},
            "fates": _fates(cluster, operator),
            "loaded": {name: _is_loaded(name) for name in ("greet", "world")},
        }
        systemctl("stop", UNIT)
        left = _ask(cluster, operator, "nodes")
    return record | {"left": left, "result": shown("Result", unit=UNIT)}


def _are_decided(fates: dict[str, Any]) -> bool:
    decided = [name for name, (fate, _) in fates.items() if fate != "pending"]
    return sorted(decided) == sorted((ALLOWED, REFUSED))


def _is_loaded(module: str) -> bool:
    return Path("/sys/module", module).exists()


def _configure(cluster: EtcdCluster, certificate: Certificate) -> None:
    """Write the files that the unit's settings and credentials are."""
    FILES.mkdir()
    shutil.copy(certificate.authority, FILES / "authority.crt")
    shutil.copy(certificate.certificate, FILES / "node.crt")
    shutil.copy(certificate.key, FILES / "node.key")
    (FILES / "node.key").chmod(0o600)
    SETTINGS.write_text(f"endpoints = {json.dumps(cluster.endpoints)}\n")
    GRANT.write_text(STEWARD)


def _fates(cluster: EtcdCluster, operator: Certificate) -> dict[str, Any]:
    """Return how the node fares with what it is wished to have, and why, by the wishes' names."""
    nodes = _ask(cluster, operator, "nodes")
    wishes_told = (each for node in nodes for each in node["wishes"])
    return {each["name"]: [each["fate"], each["why"]] for each in wishes_told}


def _ask(cluster: EtcdCluster, operator: Certificate, command: str) -> Any:
    return json.loads(_fleet(cluster, operator, command))


def _apply(cluster: EtcdCluster, operator: Certificate, name: str, text: str) -> None:
    _fleet(cluster, operator, "apply", "--name", name, "-", given=text)


def _fleet(cluster: EtcdCluster, operator: Certificate, *words: str, given: str = "") -> str:
    """Run ``kmodctl fleet`` as an operator; returns what it prints."""
    files = ("--authority", operator.authority, "--certificate", operator.certificate)
    where = ("--etcd", cluster.endpoints[0], *map(str, files), "--key", str(operator.key))
    command = [KMODCTL, "--json", "fleet", *where, *words]
    answer = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert not answer.returncode, answer.stderr
    return answer.stdout

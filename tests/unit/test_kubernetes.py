# SPDX-License-Identifier: Apache-2.0
"""The example for Kubernetes: an agent on each node that has no privileges."""

import tomllib
from pathlib import Path
from typing import Any

import yaml

import kmodctl
from kmodctl.fleet.agent_settings import agent_settings
from kmodctl.fleet.settings import read_settings
from kmodctl.sockets import PUBLIC_SOCKET
from kmodd.access.caller import Role
from kmodd.access.grants import Grants
from kmodd.access.peer import Peer
from kmodd.settings import Settings
from kmodd.settings.toml import read_settings as read_kmodd

EXAMPLE = Path(kmodctl.__file__).parent / "share/kubernetes/kmodd-fleet.yaml"


def documents() -> dict[str, Any]:
    return {each["kind"]: each for each in yaml.safe_load_all(EXAMPLE.read_text())}


def test_no_pod_has_privileges_and_only_the_sockets_file_comes_from_the_host() -> None:
    pod = documents()["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    own = container["securityContext"]
    assert (own["privileged"], own["allowPrivilegeEscalation"]) == (False, False)
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
    host = [each["hostPath"] for each in pod["volumes"] if "hostPath" in each]
    assert host == [{"path": PUBLIC_SOCKET, "type": "Socket"}]
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounted.keys() == {each["name"] for each in pod["volumes"]}
    assert mounted["socket"] == PUBLIC_SOCKET


def test_its_settings_are_right_and_lead_to_what_is_mounted(tmp_path: Path) -> None:
    found = documents()
    pod = found["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    config = tmp_path / "fleet.toml"
    config.write_text(found["ConfigMap"]["data"]["fleet.toml"])
    settings = read_settings(str(config))
    agent = agent_settings(settings.agent, node="worker-1")
    assert agent.socket == mounted["socket"]
    assert str(agent.directory) == f"{mounted['state']}/worker-1"
    table = tomllib.loads(config.read_text())
    for name in ("authority", "certificate", "key"):
        assert table[name].startswith(f"{mounted['tls']}/")
    assert container["args"][:2] == ["fleet", "agent"]
    assert container["args"][3] == mounted["settings"]


def test_the_grant_that_it_tells_of_is_for_the_pods_user(tmp_path: Path) -> None:
    lines = [line[6:] for line in EXAMPLE.read_text().splitlines() if line.startswith("#     ")]
    config = tmp_path / "kmodd.toml"
    public = f'[[socket]]\npath = "{PUBLIC_SOCKET}"\nrole = "loader"\nmode = 0o666\ngrants = true\n'
    admin = '[[socket]]\npath = "/run/kmodd/admin/kmodd.sock"\n'
    config.write_text("\n".join([public, admin, *lines]))
    grants = Grants(read_kmodd(config, Settings()).grants)
    context = documents()["DaemonSet"]["spec"]["template"]["spec"]["securityContext"]
    user = context["runAsUser"]
    for container, role in (("a1b2", Role.STEWARD), ("", Role.NONE)):
        peer = Peer(
            uid=user,
            gids=frozenset({context["runAsGroup"]}),
            pid=7,
            container=container,
            is_contained=bool(container),
        )
        assert grants.caller(PUBLIC_SOCKET, Role.LOADER, Role.NONE, peer).role is role

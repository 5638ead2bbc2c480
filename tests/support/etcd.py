# SPDX-License-Identifier: Apache-2.0
"""Debian's etcd on loopback: one member or more, with TLS or without."""

import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from kmodctl.fleet import etcd_rpc_pb2 as pb
from kmodctl.fleet import etcd_rpc_pb2_grpc as rpc
from kmodctl.fleet.links import Tls
from tests.support.certificates import Certificate, make_authority, make_certificate
from tests.support.daemon import START, wait_until
from tests.support.require import require


@dataclass
class EtcdMember:
    """One member: its name, ports and directory, and its process while it runs."""

    name: str
    port: int
    peer_port: int
    directory: Path
    arguments: list[str] = field(default_factory=list)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Begin, or go on with what the directory has."""
        with (self.directory.parent / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.arguments, stdout=log, stderr=log)

    def kill(self) -> None:
        """End at once, as a machine that loses power."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(frozen=True)
class EtcdCluster:
    """Members that run; ``operator`` is a client's certificate, None without TLS."""

    members: tuple[EtcdMember, ...]
    operator: Certificate | None

    @property
    def endpoints(self) -> list[str]:
        """Where clients connect, a member each."""
        scheme = "http" if self.operator is None else "https"
        return [f"{scheme}://127.0.0.1:{member.port}" for member in self.members]

    def metrics(self, member: int = 0) -> dict[str, float]:
        """Return what a member has counted (Prometheus' text), by name and labels."""
        with urllib.request.urlopen(
            f"{self.endpoints[member]}/metrics", context=self._context(), timeout=START
        ) as answer:
            lines = answer.read().decode().splitlines()
        counted = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in counted}

    def is_healthy(self, member: int) -> bool:
        """Tell whether a member serves and knows a leader."""
        try:
            with urllib.request.urlopen(
                f"{self.endpoints[member]}/health", context=self._context(), timeout=START
            ) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False

    def wait(self) -> None:
        """Return once all members that run are healthy."""
        for at, member in enumerate(self.members):
            if member.process is not None:
                wait_until(lambda at=at: self.is_healthy(at), pause=0.05)  # type: ignore[misc]

    def _context(self) -> ssl.SSLContext | None:
        if self.operator is None:
            return None
        context = ssl.create_default_context(cafile=str(self.operator.authority))
        context.load_cert_chain(self.operator.certificate, self.operator.key)
        return context


def tls_of(certificate: Certificate | None) -> Tls:
    """Return what a client that has a certificate connects with."""
    assert certificate is not None
    return Tls(*map(str, (certificate.authority, certificate.certificate, certificate.key)))


async def compact(cluster: EtcdCluster, revision: int) -> None:
    """Have a cluster with TLS forget what was before a revision."""
    target = cluster.endpoints[-1].removeprefix("https://")
    credentials = tls_of(cluster.operator).credentials()
    async with grpc.aio.secure_channel(target, credentials) as channel:
        await rpc.KVStub(channel).Compact(pb.CompactionRequest(revision=revision))


@contextmanager
def running_etcd(
    directory: Path, *options: str, members: int = 1, tls: bool = True
) -> Iterator[EtcdCluster]:
    """Have members of one cluster run in ``directory`` while the block does.

    ``options`` are more of etcd's.
    """
    etcd = require("etcd", "a fleet's wishes live in etcd (Debian: etcd-server)")
    directory.mkdir(parents=True, exist_ok=True)
    server = operator = None
    if tls:
        authority = make_authority(directory / "certificates")
        server = make_certificate(authority, "etcd")
        operator = make_certificate(authority, "operator")
    with ExitStack() as stack:
        ports = free_ports(2 * members)
        cluster = EtcdCluster(
            tuple(
                EtcdMember(f"m{at}", ports[2 * at], ports[2 * at + 1], directory / f"m{at}")
                for at in range(members)
            ),
            operator,
        )
        for member in cluster.members:
            member.arguments = [etcd, *_arguments(member, cluster, server), *options]
            member.start()
            stack.callback(member.kill)
        cluster.wait()
        yield cluster


def _arguments(
    member: EtcdMember, cluster: EtcdCluster, server: Certificate | None
) -> Iterator[str]:
    """Yield etcd's options for a member; its peers talk plainly, on loopback."""
    url = cluster.endpoints[cluster.members.index(member)]
    peers = {each.name: f"http://127.0.0.1:{each.peer_port}" for each in cluster.members}
    settings = {
        "name": member.name,
        "data-dir": str(member.directory),
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peers[member.name],
        "initial-advertise-peer-urls": peers[member.name],
        "initial-cluster": ",".join(f"{name}={peer}" for name, peer in peers.items()),
        "log-level": "warn",
        "logger": "zap",
    }
    if server is not None:
        settings |= {
            "cert-file": str(server.certificate),
            "key-file": str(server.key),
            "trusted-ca-file": str(server.authority),
        }
        yield "--client-cert-auth"
    for name, value in settings.items():
        yield f"--{name}={value}"


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]

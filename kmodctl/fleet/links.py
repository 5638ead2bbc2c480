# SPDX-License-Identifier: Apache-2.0
"""Connections to etcd's members: where they are, TLS, and why there is none."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import grpc
import grpc.aio

from kmodctl.fleet.store import StoreError

LARGEST = 8 << 20
"""Bytes of the largest answer that is taken; etcd's own largest request has 1.5 MiB."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)
"""A channel's options. A connection of which nothing more comes, as where a machine has lost its
power, is known by pings: etcd allows one each five seconds."""

_SETTINGS = 4
"""The kind of the frame with which each end of HTTP/2 begins (RFC 9113, 3.4)."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: who signs the members' certificates, and a client's own with its key."""

    authority: str
    certificate: str
    key: str

    def context(self) -> ssl.SSLContext:
        """Return what a connection is made with. Raises StoreError for a file that is wrong."""
        try:
            context = ssl.create_default_context(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            raise StoreError(f"{self.authority} has no certificates: {_words(error)}") from None
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            files = f"{self.certificate} and {self.key}"
            raise StoreError(f"{files} are no certificate and its key: {_words(error)}") from None
        context.set_alpn_protocols(["h2"])
        return context

    def credentials(self) -> grpc.ChannelCredentials:
        """Return the same for grpc, from the files as they are now. Raises StoreError."""
        self.context()
        files = (self.authority, self.key, self.certificate)
        try:
            return grpc.ssl_channel_credentials(*(_contents(each) for each in files))
        except OSError as error:
            raise StoreError(f"{error.filename}: {error.strerror}") from None


def _contents(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _no_password() -> str:
    raise OSError(0, "a key with a password cannot be used")


class Link:
    """One member of the cluster, and the connection to it while there is one; belongs to a loop.

    ``endpoint`` is a URL, https://HOST:PORT. Without TLS only a member on this machine is asked.
    """

    def __init__(self, endpoint: str, tls: Tls | None, timeout: float) -> None:
        """Raises StoreError for what is no such URL, or where files of TLS are missing."""
        self.endpoint = endpoint.rstrip("/")
        self._host, self._port, is_secure = _parts(self.endpoint)
        if is_secure and tls is None:
            raise StoreError(f"{endpoint}: TLS needs an authority, a certificate and a key")
        if not is_secure and self._host not in _LOOPBACK:
            raise StoreError(f"{endpoint}: without TLS only etcd on this machine is asked")
        self._tls = tls if is_secure else None
        self._timeout = timeout
        self._waited = f"no answer within {timeout:g} s"
        self._channel: _Channel | None = None

    @contextmanager
    def used(self, channel: "_Channel") -> Iterator[grpc.aio.Channel]:
        """Have a connection stay for as long as the block runs, even if it is left."""
        channel.users += 1
        try:
            yield channel.channel
        finally:
            channel.users -= 1
            channel.close_unused()

    async def connected(self) -> "_Channel":
        """Return a connection, made if there is none. Raises StoreError where none comes about.

        One that takes longer goes on coming about, for who asks next: a member that thousands
        connect to at once would else have to begin with each again and again.
        """
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    channel = self._channel = self._channel or self._made()
                    with self.used(channel) as used:
                        await _settle(used)
                        is_ready = used.get_state() is grpc.ChannelConnectivity.READY
                    if channel.is_left:  # by another call meanwhile
                        continue
                    if is_ready:
                        return channel
                    self.leave(channel)
                    break
        except TimeoutError:
            raise StoreError(f"{self.endpoint}: {self._waited}") from None
        raise StoreError(f"{self.endpoint}: {await self._why()}")

    def leave(self, channel: "_Channel") -> None:
        """Use a connection no more: the next call makes another one."""
        channel.is_left = True
        if self._channel is channel:
            self._channel = None
        channel.close_unused()

    async def close(self) -> None:
        """End the connection, and what is under way on it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.channel.close()

    def _made(self) -> "_Channel":
        host = f"[{self._host}]" if ":" in self._host else self._host
        target = f"{host}:{self._port}"
        if self._tls is None:
            return _Channel(grpc.aio.insecure_channel(target, options=_OPTIONS))
        try:
            credentials = self._tls.credentials()
        except StoreError as error:
            raise StoreError(f"{self.endpoint}: {error}") from None
        return _Channel(grpc.aio.secure_channel(target, credentials, options=_OPTIONS))

    async def _why(self) -> str:
        """Return why there is no connection, by making one without grpc, which tells little."""
        try:
            context = self._tls.context() if self._tls is not None else None
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context)
                try:
                    first = await reader.read(9)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            return self._waited
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not what it should be: {error.verify_message}"
        except ssl.SSLError as error:
            return f"TLS fails: {_words(error)}"
        except OSError as error:
            return _words(error)
        except StoreError as error:
            return str(error)
        if not first:
            return "it ends each connection at once"
        return self._waited if first[3:4] == bytes([_SETTINGS]) else "it speaks no HTTP/2"


class _Channel:
    """grpc's channel, and how many use it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.users = 0
        self.is_left = False
        self._closing: asyncio.Task[None] | None = None

    def close_unused(self) -> None:
        """End the connection if it is left and nobody has a call on it."""
        # grpc cancels the tasks that wait for calls of a channel that is closed.
        if self.is_left and not self.users and self._closing is None:
            self._closing = asyncio.ensure_future(self.channel.close())


async def _settle(channel: grpc.aio.Channel) -> None:
    """Return once a channel is ready, or has failed to be."""
    ended = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE)
    while (state := channel.get_state(try_to_connect=True)) not in ended:
        await channel.wait_for_state_change(state)


def _parts(endpoint: str) -> tuple[str, int, bool]:
    """Return the host and the port of a URL, and whether TLS is spoken there."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    rest = (parts.path, parts.query, parts.fragment, parts.username)
    if parts.scheme not in ("http", "https") or not host or not port or any(rest):
        raise StoreError(f"{endpoint!r} is no endpoint; one is https://HOST:PORT")
    return host, port, parts.scheme == "https"


def _words(error: OSError) -> str:
    """Return why something failed, without what Python says of where in OpenSSL that was."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)

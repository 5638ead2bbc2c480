# SPDX-License-Identifier: Apache-2.0
"""kmodctl: the client of kmodd, as a command and as the Python class ``kmodctl.Client``.

``kmodctl.aio.Client`` is that class for asyncio.

    import kmodctl

    with kmodctl.Client() as client:
        client.load("ext4")
        for module in client.list_modules():
            print(module.name, module.size_bytes)

Both are imported when they are first asked for, since they bring grpc with them.
"""

from kmodctl.errors import CallError, KmodctlError, NoDaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl import aio
    from kmodctl.client import Client

__all__ = ["CallError", "Client", "KmodctlError", "NoDaemonError", "aio"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from kmodctl.client import Client

        return Client
    if name == "aio":
        return __import__("kmodctl.aio").aio
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*__all__, *(name for name in globals() if name.startswith("__"))))

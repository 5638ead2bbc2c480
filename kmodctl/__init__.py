# SPDX-License-Identifier: Apache-2.0
"""kmodctl: the client of kmodd, as a command and as the Python class ``kmodctl.Client``.

    import kmodctl

    with kmodctl.Client() as client:
        client.load("ext4")
        for module in client.list_modules():
            print(module.name, module.size_bytes)

The class is imported when it is first asked for, since it brings grpc with it.
"""

from kmodctl.errors import CallError, KmodctlError, NoDaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.client import Client

__all__ = ["CallError", "Client", "KmodctlError", "NoDaemonError"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from kmodctl.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

# SPDX-License-Identifier: Apache-2.0
"""kmodd's API as the commands call it: stubs and a channel, imported when they are asked for."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from kmodd.messages.channel import Channel
    from kmodd.messages.daemon_service import DaemonServiceStub, GetStatusResponse
    from kmodd.messages.database_service import DatabaseServiceStub
    from kmodd.messages.emulation_service import EmulationServiceStub
    from kmodd.messages.kernel_log_service import KernelLogServiceStub
    from kmodd.messages.module_service import ModuleServiceStub
    from kmodd.messages.state_service import StateServiceStub


class Api:
    """The services behind a channel, which the first call opens; a context manager that closes it.

    Each call raises CallError where it fails, and NoDaemonError where there is no daemon.
    """

    def __init__(self, open_channel: "Callable[[], Channel]") -> None:
        self._open = open_channel
        self._opened: Channel | None = None
        self._status: GetStatusResponse | None = None

    def status(self) -> "GetStatusResponse":
        """Return what the daemon is and how it fares, as it was when this was first asked."""
        from kmodd.messages.daemon_service import GetStatusRequest

        if self._status is None:
            self._status = self.daemon.get_status(GetStatusRequest())
        return self._status

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        trace: "TracebackType | None",
    ) -> None:
        self.close()

    def another(self) -> "Api":
        """Return the same services behind a channel of their own, for another thread."""
        return Api(self._open)

    def close(self) -> None:
        """End the channel, where one was opened."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _channel(self) -> "Channel":
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    @property
    def daemon(self) -> "DaemonServiceStub":
        """The daemon itself."""
        from kmodd.messages.daemon_service import DaemonServiceStub

        return DaemonServiceStub(self._channel)

    @property
    def databases(self) -> "DatabaseServiceStub":
        """The databases of the module trees."""
        from kmodd.messages.database_service import DatabaseServiceStub

        return DatabaseServiceStub(self._channel)

    @property
    def emulation(self) -> "EmulationServiceStub":
        """What an emulated kernel has beside its modules."""
        from kmodd.messages.emulation_service import EmulationServiceStub

        return EmulationServiceStub(self._channel)

    @property
    def kernel_log(self) -> "KernelLogServiceStub":
        """The kernel's log."""
        from kmodd.messages.kernel_log_service import KernelLogServiceStub

        return KernelLogServiceStub(self._channel)

    @property
    def modules(self) -> "ModuleServiceStub":
        """The loaded modules, and loading and unloading."""
        from kmodd.messages.module_service import ModuleServiceStub

        return ModuleServiceStub(self._channel)

    @property
    def state(self) -> "StateServiceStub":
        """What the machine is wished to have."""
        from kmodd.messages.state_service import StateServiceStub

        return StateServiceStub(self._channel)

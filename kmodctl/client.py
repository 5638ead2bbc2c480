# SPDX-License-Identifier: Apache-2.0
"""``kmodctl.Client``: kmodd's API for Python programs, one method a call."""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kmodctl.connection import Connection

# The messages are imported where they are made: those of all services together would cost a
# command that needs one of them half as much as grpc itself does.
if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from kmodctl.holding import HeldModules
    from kmodd.v1 import (
        daemon_service_pb2,
        database_service_pb2,
        emulation_service_pb2,
        kernel_log_service_pb2,
        module_service_pb2,
    )

Progress = Callable[[int, int], None]


class Client(Connection):
    """A connection to a daemon with a method for each call; may be shared between threads.

    Every method raises CallError for a call that fails, and NoDaemonError when the daemon is
    gone. Answers are the messages of ``kmodd.v1``.
    """

    def list_modules(self) -> "list[module_service_pb2.Module]":
        """Return the loaded modules, the newest first."""
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.ListModulesRequest()
        response: module_service_pb2.ListModulesResponse = self._call(
            self._modules.ListModules, request
        )
        return list(response.modules)

    def get_module(self, name: str) -> "module_service_pb2.GetModuleResponse":
        """Return what the kernel has of a loaded module: its line, its sizes, its parameters."""
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.GetModuleRequest(name=name)
        response: module_service_pb2.GetModuleResponse = self._call(
            self._modules.GetModule, request
        )
        return response

    def get_parameters(self, module: str) -> "list[module_service_pb2.Parameter]":
        """Return the parameters that a loaded module shows."""
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.GetParametersRequest(module=module)
        response: module_service_pb2.GetParametersResponse = self._call(
            self._modules.GetParameters, request
        )
        return list(response.parameters)

    def set_parameter(
        self, module: str, parameter: str, value: str
    ) -> "module_service_pb2.Parameter":
        """Set a parameter of a loaded module, and return it as the kernel then shows it."""
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.SetParameterRequest(
            module=module, parameter=parameter, value=value
        )
        response: module_service_pb2.SetParameterResponse = self._call(
            self._modules.SetParameter, request
        )
        return response.parameter

    def load(
        self, *names: str, parameters: str = "", **options: Any
    ) -> "list[module_service_pb2.ModuleResult]":
        """Load modules by name or alias with what they need, and return a result for each.

        ``options`` are the other fields of LoadModulesRequest. With one name a failure is raised;
        with more, each result has its own ``failure``.
        """
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.LoadModulesRequest(
            names=names, parameters=parameters, **options
        )
        return list(self.load_modules(request).results)

    def load_modules(
        self, request: "module_service_pb2.LoadModulesRequest"
    ) -> "module_service_pb2.LoadModulesResponse":
        """Make the call LoadModules as it is."""
        response: module_service_pb2.LoadModulesResponse = self._call(
            self._modules.LoadModules, request
        )
        return response

    def unload(self, *names: str, **options: Any) -> "list[module_service_pb2.ModuleResult]":
        """Unload modules and what is unused without them; as ``load`` in everything else."""
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.UnloadModulesRequest(names=names, **options)
        return list(self.unload_modules(request).results)

    def unload_modules(
        self, request: "module_service_pb2.UnloadModulesRequest"
    ) -> "module_service_pb2.UnloadModulesResponse":
        """Make the call UnloadModules as it is."""
        response: module_service_pb2.UnloadModulesResponse = self._call(
            self._modules.UnloadModules, request
        )
        return response

    def insert(
        self, path: str | os.PathLike[str], parameters: str = "", **options: bool
    ) -> "module_service_pb2.Module":
        """Send the module file ``path`` and load it as it is; return it as listed.

        ``options`` are the flags of InsertModuleHeader. Raises OSError where the file cannot be
        read.
        """
        from kmodd.v1 import module_service_pb2

        header = module_service_pb2.InsertModuleHeader(
            file_name=_sendable(os.fspath(path)), parameters=parameters
        )
        for name, value in options.items():
            setattr(header, name, value)
        return self._insert(path, header).module

    def load_file(
        self, path: str | os.PathLike[str], request: "module_service_pb2.LoadModulesRequest"
    ) -> "module_service_pb2.InsertModuleResponse":
        """Send the module file ``path`` and load it with what it needs, as ``request`` says.

        Raises OSError where the file cannot be read.
        """
        from kmodd.v1 import module_service_pb2

        name = os.path.join(os.getcwd(), os.fspath(path))
        header = module_service_pb2.InsertModuleHeader(file_name=_sendable(name), load=request)
        return self._insert(path, header)

    def remove(
        self, name: str, *, force: bool = False, wait: "Duration | None" = None
    ) -> tuple[str, ...]:
        """Unload one module and nothing else; return what its code never gave back.

        ``wait`` is how long it may be in use meanwhile.
        """
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.RemoveModuleRequest(name=name, force=force, wait=wait)
        return tuple(self._call(self._modules.RemoveModule, request).leaks)

    def hold(
        self, *names: str, unload: bool = False, note: str = "", **options: Any
    ) -> "HeldModules":
        """Load modules with what they need and keep them loaded until the hold is closed.

        With ``unload`` the last hold that ends unloads what was loaded for holds. ``note`` tells
        others who holds. ``options`` are fields of LoadModulesRequest. Use it as a context manager.
        """
        from kmodctl.holding import HeldModules
        from kmodd.v1 import module_service_pb2

        load = module_service_pb2.LoadModulesRequest(names=names, **options)
        request = module_service_pb2.HoldModulesRequest(load=load, unload=unload, note=note)
        # A hold has no end that is known, so no call of it has a time limit.
        call = self._modules.HoldModules(request, metadata=self._metadata)
        return HeldModules(call, self._timeout, self._translated)

    def list_holds(self) -> "list[module_service_pb2.Hold]":
        """Return the holds, the oldest first."""
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.ListHoldsRequest()
        response: module_service_pb2.ListHoldsResponse = self._call(
            self._modules.ListHolds, request
        )
        return list(response.holds)

    def end_hold(self, hold: int) -> None:
        """End a hold of another caller, by its number."""
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.EndHoldRequest(hold=hold)
        self._call(self._modules.EndHold, request)

    def watch_modules(
        self, epoch: str = "", revision: int = 0
    ) -> "Iterator[module_service_pb2.WatchModulesResponse]":
        """Yield all modules, or where an epoch is given go on from its revision; then what happens.

        It ends with CallError: EVENTS_GONE or READER_TOO_SLOW where to begin anew.
        """
        from kmodd.v1 import module_service_pb2

        request = module_service_pb2.WatchModulesRequest(epoch=epoch, revision=revision)
        yield from self._stream(self._modules.WatchModules, request)

    def rebuild_database(
        self, release: str = "", *, progress: Progress | None = None
    ) -> "database_service_pb2.Tree":
        """Rebuild a release's databases; ``progress`` is told files read and files in all."""
        from kmodd.v1 import database_service_pb2

        request = database_service_pb2.RebuildDatabaseRequest(release=release)
        tree = database_service_pb2.Tree()
        for message in self._stream(self._databases.RebuildDatabase, request):
            if message.WhichOneof("content") == "tree":
                tree = message.tree
            elif progress is not None:
                progress(message.progress.files_read, message.progress.files_total)
        return tree

    def resolve(self, name: str, release: str = "") -> "database_service_pb2.ResolveAliasResponse":
        """Return which modules a name, an alias or ``symbol:NAME`` stands for."""
        from kmodd.v1 import database_service_pb2

        request = database_service_pb2.ResolveAliasRequest(name=name, release=release)
        response: database_service_pb2.ResolveAliasResponse = self._call(
            self._databases.ResolveAlias, request
        )
        return response

    def module_infos(
        self, name: str, release: str = "", *, module_name_only: bool = False
    ) -> "list[database_service_pb2.ModuleInfo]":
        """Return what each module says of itself that ``name`` stands for."""
        from kmodd.v1 import database_service_pb2

        request = database_service_pb2.GetModuleInfoRequest(
            name=name, release=release, module_name_only=module_name_only
        )
        response: database_service_pb2.GetModuleInfoResponse = self._call(
            self._databases.GetModuleInfo, request
        )
        return list(response.modules)

    def inspect(self, path: str | os.PathLike[str]) -> "database_service_pb2.ModuleInfo":
        """Send the module file ``path`` and return what it says of itself, its symbols included.

        Raises OSError where the file cannot be read.
        """
        from kmodd.v1 import database_service_pb2

        header = database_service_pb2.InspectModuleHeader(file_name=_sendable(os.fspath(path)))
        response: database_service_pb2.InspectModuleResponse = self._upload(
            self._databases.InspectModule,
            database_service_pb2.InspectModuleRequest,
            header,
            path,
        )
        return response.module

    def configuration(
        self, release: str = ""
    ) -> "Iterator[database_service_pb2.GetConfigurationResponse]":
        """Yield the configuration in force, then the modules' aliases and symbols, in parts."""
        from kmodd.v1 import database_service_pb2

        request = database_service_pb2.GetConfigurationRequest(release=release)
        yield from self._stream(self._databases.GetConfiguration, request)

    def dependencies(
        self, name: str, release: str = ""
    ) -> "database_service_pb2.GetDependenciesResponse":
        """Return what a module needs, and what that needs."""
        from kmodd.v1 import database_service_pb2

        request = database_service_pb2.GetDependenciesRequest(name=name, release=release)
        response: database_service_pb2.GetDependenciesResponse = self._call(
            self._databases.GetDependencies, request
        )
        return response

    def static_nodes(self, release: str = "") -> "list[database_service_pb2.StaticNode]":
        """Return the device nodes that load a module when they are opened."""
        from kmodd.v1 import database_service_pb2

        request = database_service_pb2.GetStaticNodesRequest(release=release)
        response: database_service_pb2.GetStaticNodesResponse = self._call(
            self._databases.GetStaticNodes, request
        )
        return list(response.nodes)

    def list_trees(self) -> "list[database_service_pb2.Tree]":
        """Return the releases and the database in force for each."""
        from kmodd.v1 import database_service_pb2

        request = database_service_pb2.ListTreesRequest()
        response: database_service_pb2.ListTreesResponse = self._call(
            self._databases.ListTrees, request
        )
        return list(response.trees)

    def read_log(
        self, *, follow: bool = False, after: int | None = None
    ) -> "Iterator[kernel_log_service_pb2.LogRecord]":
        """Yield the kernel's log records, oldest first; with ``follow``, for ever."""
        from kmodd.v1 import kernel_log_service_pb2

        request = kernel_log_service_pb2.ReadLogRequest(follow=follow, after_sequence=after)
        for message in self._stream(self._log.ReadLog, request):
            yield from message.records

    def status(self) -> "daemon_service_pb2.GetStatusResponse":
        """Return what the daemon is and how it fares."""
        from kmodd.v1 import daemon_service_pb2

        request = daemon_service_pb2.GetStatusRequest()
        response: daemon_service_pb2.GetStatusResponse = self._call(self._daemon.GetStatus, request)
        return response

    def list_operations(self) -> "list[daemon_service_pb2.Operation]":
        """Return the operations under way, the oldest first."""
        from kmodd.v1 import daemon_service_pb2

        request = daemon_service_pb2.ListOperationsRequest()
        response: daemon_service_pb2.ListOperationsResponse = self._call(
            self._daemon.ListOperations, request
        )
        return list(response.operations)

    def add_device(self, modalias: str) -> "emulation_service_pb2.AddDeviceResponse":
        """Plug a device into the emulated kernel and load what answers to its modalias.

        That the load failed is in the answer's ``result``.
        """
        from kmodd.v1 import emulation_service_pb2

        request = emulation_service_pb2.AddDeviceRequest(modalias=_sendable(modalias))
        response: emulation_service_pb2.AddDeviceResponse = self._call(
            self._emulation.AddDevice, request
        )
        return response

    def list_devices(self) -> "list[emulation_service_pb2.Device]":
        """Return the emulated kernel's devices, the oldest first."""
        from kmodd.v1 import emulation_service_pb2

        request = emulation_service_pb2.ListDevicesRequest()
        response: emulation_service_pb2.ListDevicesResponse = self._call(
            self._emulation.ListDevices, request
        )
        return list(response.devices)

    def remove_device(self, name: str) -> None:
        """Unplug a device from the emulated kernel."""
        from kmodd.v1 import emulation_service_pb2

        request = emulation_service_pb2.RemoveDeviceRequest(name=_sendable(name))
        self._call(self._emulation.RemoveDevice, request)

    def list_files(self, path: str = "/") -> "list[emulation_service_pb2.KernelFile]":
        """Return what is in a directory of the emulated kernel's /dev, /proc or /sys."""
        from kmodd.v1 import emulation_service_pb2

        request = emulation_service_pb2.ListFilesRequest(path=_sendable(path))
        response: emulation_service_pb2.ListFilesResponse = self._call(
            self._emulation.ListFiles, request
        )
        return list(response.files)

    def _insert(
        self, path: str | os.PathLike[str], header: "module_service_pb2.InsertModuleHeader"
    ) -> "module_service_pb2.InsertModuleResponse":
        from kmodd.v1 import module_service_pb2

        response: module_service_pb2.InsertModuleResponse = self._upload(
            self._modules.InsertModule, module_service_pb2.InsertModuleRequest, header, path
        )
        return response


def _sendable(text: str) -> str:
    """Return a file's name as a message can carry it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

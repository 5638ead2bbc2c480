# SPDX-License-Identifier: Apache-2.0
"""``kmodctl.Client``: kmodd's API for Python programs, one method a call."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from kmodctl.connection import Connection
from kmodctl.services import (
    DaemonService,
    DatabaseService,
    EmulationService,
    KernelLogService,
    ModuleService,
    StateService,
)

# The messages are imported where they are made, as those of requests are by the methods: all of
# them together would cost a command that needs one of them half as much as grpc itself does.
if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration

    from kmodctl.holding import HeldModules
    from kmodd.v1 import (
        daemon_service_pb2,
        database_service_pb2,
        emulation_service_pb2,
        kernel_log_service_pb2,
        module_service_pb2,
        state_service_pb2,
    )

Progress = Callable[[int, int], None]

WRITTEN_AT_ONCE = 64 << 10
"""Bytes that one request writes to a file."""


class Client(Connection):
    """A connection to a daemon with a method for each call; may be shared between threads.

    Every method raises CallError for a call that fails, and NoDaemonError when the daemon is
    gone. Answers are the messages of ``kmodd.v1``.
    """

    def list_modules(self) -> "list[module_service_pb2.Module]":
        """Return the loaded modules, the newest first."""
        method = ModuleService.ListModules
        response = self._call(method, method.request())
        return list(response.modules)

    def get_module(self, name: str) -> "module_service_pb2.GetModuleResponse":
        """Return what the kernel has of a loaded module: its line, its sizes, its parameters."""
        method = ModuleService.GetModule
        return self._call(method, method.request(name=name))

    def list_outdated(self) -> "list[module_service_pb2.OutdatedModule]":
        """Return the loaded modules that their files in the tree are not, by name."""
        method = ModuleService.ListOutdated
        return list(self._call(method, method.request()).modules)

    def reload(
        self, *names: str, outdated: bool = False, **options: bool
    ) -> "module_service_pb2.ReloadModulesResponse":
        """Take modules out, with what uses them, and put them in as their files are now.

        With ``outdated`` those go, too, whose files are of other builds; ``options`` are the other
        fields of ReloadModulesRequest. What becomes of each module is in the answer.
        """
        method = ModuleService.ReloadModules
        return self._call(method, method.request(names=names, outdated=outdated, **options))

    def get_parameters(self, module: str) -> "list[module_service_pb2.Parameter]":
        """Return the parameters that a loaded module shows."""
        method = ModuleService.GetParameters
        response = self._call(method, method.request(module=module))
        return list(response.parameters)

    def set_parameter(
        self, module: str, parameter: str, value: str
    ) -> "module_service_pb2.Parameter":
        """Set a parameter of a loaded module, and return it as the kernel then shows it."""
        method = ModuleService.SetParameter
        response = self._call(
            method, method.request(module=module, parameter=parameter, value=value)
        )
        return response.parameter

    def load(
        self, *names: str, parameters: str = "", **options: Any
    ) -> "list[module_service_pb2.ModuleResult]":
        """Load modules by name or alias with what they need, and return a result for each.

        ``options`` are the other fields of LoadModulesRequest. With one name a failure is raised;
        with more, each result has its own ``failure``.
        """
        method = ModuleService.LoadModules
        request = method.request(names=names, parameters=parameters, **options)
        return list(self._call(method, request).results)

    def load_modules(
        self, request: "module_service_pb2.LoadModulesRequest"
    ) -> "module_service_pb2.LoadModulesResponse":
        """Make the call LoadModules as it is."""
        return self._call(ModuleService.LoadModules, request)

    def unload(self, *names: str, **options: Any) -> "list[module_service_pb2.ModuleResult]":
        """Unload modules and what is unused without them; as ``load`` in everything else."""
        method = ModuleService.UnloadModules
        return list(self._call(method, method.request(names=names, **options)).results)

    def unload_modules(
        self, request: "module_service_pb2.UnloadModulesRequest"
    ) -> "module_service_pb2.UnloadModulesResponse":
        """Make the call UnloadModules as it is."""
        return self._call(ModuleService.UnloadModules, request)

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
        return self._upload(ModuleService.InsertModule, header, path).module

    def load_file(
        self, path: str | os.PathLike[str], request: "module_service_pb2.LoadModulesRequest"
    ) -> "module_service_pb2.InsertModuleResponse":
        """Send the module file ``path`` and load it with what it needs, as ``request`` says.

        Raises OSError where the file cannot be read.
        """
        from kmodd.v1 import module_service_pb2

        name = os.path.join(os.getcwd(), os.fspath(path))
        header = module_service_pb2.InsertModuleHeader(file_name=_sendable(name), load=request)
        return self._upload(ModuleService.InsertModule, header, path)

    def remove(
        self, name: str, *, force: bool = False, wait: "Duration | None" = None
    ) -> tuple[str, ...]:
        """Unload one module and nothing else; return what its code never gave back.

        ``wait`` is how long it may be in use meanwhile.
        """
        method = ModuleService.RemoveModule
        response = self._call(method, method.request(name=name, force=force, wait=wait))
        return tuple(response.leaks)

    def hold(
        self, *names: str, unload: bool = False, note: str = "", **options: Any
    ) -> "HeldModules":
        """Load modules with what they need and keep them loaded until the hold is closed.

        With ``unload`` the last hold that ends unloads what was loaded for holds. ``note`` tells
        others who holds. ``options`` are fields of LoadModulesRequest. Use it as a context manager.
        """
        from kmodctl.holding import HeldModules

        method = ModuleService.HoldModules
        load = ModuleService.LoadModules.request(names=names, **options)
        request = method.request(load=load, unload=unload, note=note)
        # A hold has no end that is known, so no call of it has a time limit.
        call = self._begin(method, request, None)
        return HeldModules(call, self._timeout, self._translated)

    def list_holds(self) -> "list[module_service_pb2.Hold]":
        """Return the holds, the oldest first."""
        method = ModuleService.ListHolds
        response = self._call(method, method.request())
        return list(response.holds)

    def end_hold(self, hold: int) -> None:
        """End a hold of another caller, by its number."""
        method = ModuleService.EndHold
        self._call(method, method.request(hold=hold))

    def watch_modules(
        self, epoch: str = "", revision: int = 0
    ) -> "Iterator[module_service_pb2.WatchModulesResponse]":
        """Yield all modules, or where an epoch is given go on from its revision; then what happens.

        It ends with CallError: EVENTS_GONE or READER_TOO_SLOW where to begin anew.
        """
        method = ModuleService.WatchModules
        yield from self._stream(method, method.request(epoch=epoch, revision=revision))

    def rebuild_database(
        self, release: str = "", *, progress: Progress | None = None
    ) -> "database_service_pb2.Tree":
        """Rebuild a release's databases; ``progress`` is told files read and files in all."""
        from kmodd.v1 import database_service_pb2

        method = DatabaseService.RebuildDatabase
        tree = database_service_pb2.Tree()
        for message in self._stream(method, method.request(release=release)):
            if message.WhichOneof("content") == "tree":
                tree = message.tree
            elif progress is not None:
                progress(message.progress.files_read, message.progress.files_total)
        return tree

    def watch_database(
        self, release: str = ""
    ) -> "Iterator[database_service_pb2.WatchDatabaseResponse]":
        """Yield the database in force for each release, or for one, then what comes into force."""
        method = DatabaseService.WatchDatabase
        yield from self._stream(method, method.request(release=release))

    def resolve(self, name: str, release: str = "") -> "database_service_pb2.ResolveAliasResponse":
        """Return which modules a name, an alias or ``symbol:NAME`` stands for."""
        method = DatabaseService.ResolveAlias
        return self._call(method, method.request(name=name, release=release))

    def module_infos(
        self,
        name: str,
        release: str = "",
        *,
        module_name_only: bool = False,
        symbols: bool = False,
    ) -> "list[database_service_pb2.ModuleInfo]":
        """Return what each module says of itself that ``name`` stands for.

        With ``symbols`` those that it imports and exports are told, too.
        """
        method = DatabaseService.GetModuleInfo
        request = method.request(
            name=name, release=release, module_name_only=module_name_only, symbols=symbols
        )
        return list(self._call(method, request).modules)

    def inspect(self, path: str | os.PathLike[str]) -> "database_service_pb2.ModuleInfo":
        """Send the module file ``path`` and return what it says of itself, its symbols included.

        Raises OSError where the file cannot be read.
        """
        from kmodd.v1 import database_service_pb2

        header = database_service_pb2.InspectModuleHeader(file_name=_sendable(os.fspath(path)))
        return self._upload(DatabaseService.InspectModule, header, path).module

    def configuration(
        self, release: str = ""
    ) -> "Iterator[database_service_pb2.GetConfigurationResponse]":
        """Yield the configuration in force, then the modules' aliases and symbols, in parts."""
        method = DatabaseService.GetConfiguration
        yield from self._stream(method, method.request(release=release))

    def dependencies(
        self, name: str, release: str = ""
    ) -> "database_service_pb2.GetDependenciesResponse":
        """Return what a module needs, and what that needs."""
        method = DatabaseService.GetDependencies
        return self._call(method, method.request(name=name, release=release))

    def find_modules(
        self,
        *words: str,
        pattern: str = "",
        release: str = "",
        builtin: bool = False,
        descriptions: bool = True,
    ) -> "Iterator[database_service_pb2.FoundModule]":
        """Yield a tree's modules whose names match ``pattern`` and of which ``words`` are said.

        With ``builtin`` those are among them that are built into the kernel.
        """
        method = DatabaseService.FindModules
        request = method.request(
            words=words,
            pattern=pattern,
            release=release,
            builtin=builtin,
            descriptions=descriptions,
        )
        for message in self._stream(method, request):
            yield from message.modules

    def static_nodes(self, release: str = "") -> "list[database_service_pb2.StaticNode]":
        """Return the device nodes that load a module when they are opened."""
        method = DatabaseService.GetStaticNodes
        response = self._call(method, method.request(release=release))
        return list(response.nodes)

    def list_trees(self) -> "list[database_service_pb2.Tree]":
        """Return the releases and the database in force for each."""
        method = DatabaseService.ListTrees
        response = self._call(method, method.request())
        return list(response.trees)

    def read_log(
        self, *, follow: bool = False, after: int | None = None
    ) -> "Iterator[kernel_log_service_pb2.LogRecord]":
        """Yield the kernel's log records, oldest first; with ``follow``, for ever."""
        method = KernelLogService.ReadLog
        for message in self._stream(method, method.request(follow=follow, after_sequence=after)):
            yield from message.records

    def status(self) -> "daemon_service_pb2.GetStatusResponse":
        """Return what the daemon is and how it fares."""
        method = DaemonService.GetStatus
        return self._call(method, method.request())

    def metrics(self) -> "daemon_service_pb2.GetMetricsResponse":
        """Return what the daemon has counted and measured since it started."""
        method = DaemonService.GetMetrics
        return self._call(method, method.request())

    def who_am_i(self) -> "daemon_service_pb2.WhoAmIResponse":
        """Return whom the daemon takes this program for, and what it may do."""
        method = DaemonService.WhoAmI
        return self._call(method, method.request())

    def seal(self, *, check: bool = False) -> "daemon_service_pb2.SealResponse":
        """Have the kernel load no more modules; with ``check`` only tell what would be missing."""
        method = DaemonService.Seal
        return self._call(method, method.request(check=check))

    def list_operations(self) -> "list[daemon_service_pb2.Operation]":
        """Return the operations under way, the oldest first."""
        method = DaemonService.ListOperations
        response = self._call(method, method.request())
        return list(response.operations)

    def add_device(self, modalias: str) -> "emulation_service_pb2.AddDeviceResponse":
        """Plug a device into the emulated kernel and load what answers to its modalias.

        That the load failed is in the answer's ``result``.
        """
        method = EmulationService.AddDevice
        return self._call(method, method.request(modalias=_sendable(modalias)))

    def check_module(
        self,
        module: str | os.PathLike[str],
        parameters: str = "",
        *,
        pairs: bool = False,
        runs_max: int = 0,
        progress: Progress | None = None,
    ) -> "emulation_service_pb2.CheckReport":
        """Try a module with each call that can fail failing once, and return what was found.

        ``module`` is a module file, which is sent, where it has a slash or ``.ko``, and else the
        name of a module of the tree. ``progress`` is told runs made and runs in all. Raises
        OSError where the file cannot be read.
        """
        from kmodd.v1 import emulation_service_pb2 as pb

        method = EmulationService.CheckModule
        name = os.fspath(module)
        is_file = "/" in name or ".ko" in name
        header = pb.CheckModuleHeader(
            module="" if is_file else _sendable(name),
            file_name=_sendable(name) if is_file else "",
            parameters=parameters,
            pairs=pairs,
            runs_max=runs_max,
        )
        report = pb.CheckReport()
        for message in self._exchange(method, header, name if is_file else ""):
            if message.WhichOneof("content") == "report":
                report = message.report
            elif progress is not None:
                progress(message.progress.runs_done, message.progress.runs_total)
        return report

    def use_file(
        self,
        path: str,
        actions: "Iterable[emulation_service_pb2.UseFileRequest]",
        *,
        reads: bool = True,
        writes: bool = False,
        nonblocking: bool = False,
        tells_opened: bool = False,
    ) -> "Iterator[emulation_service_pb2.UseFileResponse]":
        """Open a file of the emulated kernel, and yield what becomes of each of the actions.

        An action that fails has a ``failure`` for its answer. ``actions`` may wait for answers: the
        file is open until they end. With ``tells_opened`` the first answer is that it is open.
        """
        from kmodd.v1 import emulation_service_pb2 as pb

        method = EmulationService.UseFile
        opening = pb.FileOpening(
            path=_sendable(path), reads=reads, writes=writes, nonblocking=nonblocking
        )
        requests = chain([method.request(open=opening)], actions)
        for answer in self._converse(method, requests):
            if tells_opened or answer.WhichOneof("result") != "opened":
                yield answer

    def read_file(self, path: str, *, nonblocking: bool = False) -> bytes:
        """Return what is in a file of the emulated kernel, read until there is no more."""
        from kmodctl.failures import error_of
        from kmodd.v1 import emulation_service_pb2 as pb

        read, parts, failed = pb.UseFileRequest(read=pb.FileReading(to_end=True)), [b""], None
        for answer in self.use_file(path, [read], nonblocking=nonblocking):
            failed = error_of(answer.failure) if answer.HasField("failure") else failed
            parts.append(answer.data.data)
        if failed is not None:
            raise failed
        return b"".join(parts)

    def write_file(self, path: str, data: bytes, *, nonblocking: bool = False) -> None:
        """Write to a file of the emulated kernel, until all is taken."""
        from kmodctl.failures import error_of
        from kmodd.v1 import emulation_service_pb2 as pb

        parts = (data[at : at + WRITTEN_AT_ONCE] for at in range(0, len(data), WRITTEN_AT_ONCE))
        writings = [pb.UseFileRequest(write=pb.FileWriting(data=part, all=True)) for part in parts]
        failed = None
        for answer in self.use_file(
            path, writings, reads=False, writes=True, nonblocking=nonblocking
        ):
            failed = failed or (error_of(answer.failure) if answer.HasField("failure") else None)
        if failed is not None:
            raise failed

    def list_devices(self) -> "list[emulation_service_pb2.Device]":
        """Return the emulated kernel's devices, the oldest first."""
        method = EmulationService.ListDevices
        response = self._call(method, method.request())
        return list(response.devices)

    def remove_device(self, name: str) -> None:
        """Unplug a device from the emulated kernel."""
        method = EmulationService.RemoveDevice
        self._call(method, method.request(name=_sendable(name)))

    def raise_interrupt(self, number: int) -> list[str]:
        """Raise an interrupt of the emulated kernel; return the modules that have it."""
        method = EmulationService.RaiseInterrupt
        return list(self._call(method, method.request(number=number)).modules)

    def list_files(self, path: str = "/") -> "list[emulation_service_pb2.KernelFile]":
        """Return what is in a directory of the emulated kernel's /dev, /proc or /sys."""
        method = EmulationService.ListFiles
        response = self._call(method, method.request(path=_sendable(path)))
        return list(response.files)

    def get_state(self) -> "state_service_pb2.GetStateResponse":
        """Return what the machine is wished to have, and how each wish fares."""
        method = StateService.GetState
        return self._call(method, method.request())

    def watch_state(self) -> "Iterator[state_service_pb2.WatchStateResponse]":
        """Yield how all wishes fare, and then what changes of that, without an end."""
        method = StateService.WatchState
        return self._stream(method, method.request())

    def apply_state(
        self, source: str, document: bytes, *, dry_run: bool = False, revision: int = 0
    ) -> "state_service_pb2.ApplyStateResponse":
        """Take over what the TOML ``document`` wishes as ``source``; an empty one takes it away.

        Returns how each wish fares once what can be done at once is done; with ``dry_run`` how it
        would, and nothing is taken over. A ``revision`` that is not 0 is taken over once.
        """
        method = StateService.ApplyState
        request = method.request(
            source=source, document=document, dry_run=dry_run, revision=revision
        )
        return self._call(method, request)


def _sendable(text: str) -> str:
    """Return a file's name as a message can carry it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

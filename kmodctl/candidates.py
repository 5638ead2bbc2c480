# SPDX-License-Identifier: Apache-2.0
"""The names that a command line may have: of modules, parameters, devices, holds and releases.

They are asked of the daemon that the command would ask, or of the files that it would. Who gives
things their names is a stranger: what is offered is a word for any shell, as it stands.
"""

import os

from kmodctl.api import Api
from kmodctl.environment import environment
from kmodctl.errors import KmodctlError, NoDaemonError
from kmodctl.sockets import SOCKET_VARIABLE
from kmodd.escapes import escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias, TypeVar

    from kmodctl.local import Place
    from kmodd.messages.database_service import ModuleInfoField
    from kmodd.messages.module_service import Module

    Answer = TypeVar("Answer")
    Named: TypeAlias = tuple[str, str]
    Given: TypeAlias = Mapping[str, str | bool]
else:
    Named = tuple

PATIENCE = 3.0
"""Seconds that a daemon has to answer; who waits has hit a key."""

TEXT_MAX = 80
"""Characters that are shown of what a candidate is."""

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+.,:/@%=")
"""What stands for itself in every shell, wherever in a word."""

_NO_BEGINNING = ("", "-", ":", "=", "%")
"""What a name does not begin with: it would be an option, or something to the shell."""


def offered(word: str, found: "Iterable[str | Named]", *, before: str = "") -> "Iterator[str]":
    """Yield a line for each of those found that ``word`` may become, with ``before`` before it.

    A text without a name is for the shell, and passed on.
    """
    for each in found:
        if isinstance(each, str):
            yield each
            continue
        name, text = each
        if not name.startswith(word) or not _PLAIN.issuperset(name):
            continue
        if name[:1] not in _NO_BEGINNING or word[:1] == name[:1] == "-":
            shown = escaped(" ".join(text.split()))[:TEXT_MAX]
            yield f"{before}{name}\t{shown}" if shown else f"{before}{name}"


class Names:
    """Whom a command line would ask, by the options before its command. It finds nothing where
    there is nobody, or where he does not answer.
    """

    def __init__(self, given: "Given") -> None:
        self._socket = str(given.get("socket", "")) or None
        self._names_one = self._socket is not None or SOCKET_VARIABLE in environment()

    def known(self, word: str, given: "Given") -> "list[Named]":
        """Return the modules of the tree that begin with ``word``."""
        from kmodd.messages.database_service import FindModulesRequest

        word = word.replace("-", "_")
        if not _PLAIN.issuperset(word):
            return []
        request = FindModulesRequest(release=_text(given, "release"), pattern=f"{word}*")

        def ask(api: Api) -> "list[Named]":
            parts = api.databases.find_modules(request)
            return [(module.name, "") for part in parts for module in part.modules]

        return self._ask(ask, [], given)

    def loaded(self) -> "list[Named]":
        """Return the loaded modules, each with those that use it."""
        return [(each.name, _use(each)) for each in self._modules()]

    def parameters(self, module: str, given: "Given") -> "list[Named]":
        """Return the parameters of a module's name or file, each with its equals sign."""

        def ask(api: Api) -> "list[ModuleInfoField]":
            from kmodd.messages.database_service import GetModuleInfoRequest

            if "/" in module or module.endswith((".ko", ".ko.gz", ".ko.xz", ".ko.zst")):
                from kmodctl.local import inspect

                return inspect(os.path.expanduser(module), symbols=False).fields
            request = GetModuleInfoRequest(name=module, release=_text(given, "release"))
            return [
                field
                for info in api.databases.get_module_info(request).modules
                for field in info.fields
            ]

        found: dict[str, str] = {}
        nothing: list[ModuleInfoField] = []
        for field in self._ask(ask, nothing, given):
            if field.key in ("parm", "parmtype"):
                name, _, text = field.value.partition(":")
                known = found.get(name, "")
                found[name] = text if field.key == "parm" else known or text
        return [(f"{name}=", text) for name, text in sorted(found.items())]

    def settings(self, module: str) -> "list[Named]":
        """Return the parameters of a loaded module, each with its value."""
        from kmodd.messages.module_service import GetParametersRequest

        def ask(api: Api) -> "list[Named]":
            request = GetParametersRequest(module=module)
            found = api.modules.get_parameters(request).parameters
            return [(each.name, each.description or each.value or "") for each in found]

        return self._ask(ask, [])

    def releases(self, given: "Given") -> "list[Named]":
        """Return the releases that there are trees of."""
        from kmodd.messages.database_service import ListTreesRequest

        root = _text(given, "dirname") or _text(given, "basedir") or _text(given, "base")
        if root:
            return _releases_below(root)

        def ask(api: Api) -> "list[Named]":
            trees = api.databases.list_trees(ListTreesRequest()).trees
            return [(tree.release, f"{tree.module_count} modules") for tree in trees]

        try:
            return ask(self._api())
        except NoDaemonError:
            return [] if self._names_one else _releases_below("/")
        except (KmodctlError, OSError, ValueError):
            return []

    def holds(self) -> "list[Named]":
        """Return the numbers of the holds, each with what is held."""
        from kmodd.messages.module_service import ListHoldsRequest

        def ask(api: Api) -> "list[Named]":
            holds = api.modules.list_holds(ListHoldsRequest()).holds
            return [(str(each.hold), " ".join((*each.names, each.note))) for each in holds]

        return self._ask(ask, [])

    def devices(self) -> "list[Named]":
        """Return the emulated kernel's devices, each with its driver."""
        from kmodd.messages.emulation_service import ListDevicesRequest

        def ask(api: Api) -> "list[Named]":
            devices = api.emulation.list_devices(ListDevicesRequest()).devices
            return [(each.name, each.driver) for each in devices]

        return self._ask(ask, [])

    def kernel_files(self, word: str) -> "list[Named]":
        """Return what is in the directory of the emulated kernel that ``word`` is in."""
        from kmodd.messages.emulation_service import ListFilesRequest

        directory = word.rpartition("/")[0]

        def ask(api: Api) -> "list[Named]":
            request = ListFilesRequest(path=directory or "/")
            files = api.emulation.list_files(request).files
            return [(f"{each.path}{'/' * each.is_directory}", each.module) for each in files]

        return self._ask(ask, [])

    def _modules(self) -> "list[Module]":
        from kmodd.messages.module_service import ListModulesRequest

        def ask(api: Api) -> "list[Module]":
            return list(api.modules.list_modules(ListModulesRequest()).modules)

        return self._ask(ask, [])

    def _ask(
        self, ask: "Callable[[Api], Answer]", nothing: "Answer", given: "Given | None" = None
    ) -> "Answer":
        """Return what ``ask`` finds, at the daemon or in files, or ``nothing``."""
        root = _text(given or {}, "dirname") or _text(given or {}, "basedir")
        try:
            if root:
                from kmodctl.local import Place

                return ask(self._files(Place(root, _text(given or {}, "release"))))
            try:
                return ask(self._api())
            except NoDaemonError:
                return nothing if self._names_one else ask(self._files(None))
        except (KmodctlError, OSError, ValueError):
            return nothing

    def _api(self) -> Api:
        from kmodctl.direct import DirectChannel

        return Api(lambda: DirectChannel(self._socket, timeout=PATIENCE))

    def _files(self, place: "Place | None") -> Api:
        from kmodctl.local import LocalChannel, Place

        return Api(lambda: LocalChannel(place or Place()))


def _use(module: "Module") -> str:
    """Return who uses a loaded module."""
    holders = " ".join(module.holders)
    return f"used by {holders}" if holders else ""


def _text(given: "Given", name: str) -> str:
    value = given.get(name, "")
    return value if isinstance(value, str) else ""


def _releases_below(root: str) -> "list[Named]":
    from kmodd.places import modules_directory

    try:
        return [(each, "") for each in sorted(os.listdir(modules_directory(root)))]
    except OSError:
        return []

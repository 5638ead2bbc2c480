# SPDX-License-Identifier: Apache-2.0
"""What modprobe tells without loading anything: names, the configuration, modules' symbols."""

import errno
import os

from kmodctl.errors import CallError
from kmodctl.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kmodctl.client import Client
    from kmodd.v1.database_service_pb2 import ConfigEntry, ModuleInfo, ResolveAliasResponse

END_OF_FILES = "\n# End of configuration files. Dumping indexes now:\n\n"


def show_configuration(client: "Client", release: str, output: Output) -> int:
    """Print the configuration and the modules' aliases, as ``modprobe -c`` does."""
    parts = client.configuration(release)
    if output.json:
        from kmodd.v1.database_service_pb2 import GetConfigurationResponse

        whole = GetConfigurationResponse()
        for part in parts:
            whole.MergeFrom(part)
        output.message(whole)
        return 0
    in_files = True
    for part in parts:
        for problem in part.problems:
            output.library(problem)
        output.raw("".join(f"{_entry(entry)}\n" for entry in part.entries))
        if part.aliases and in_files:
            output.raw(END_OF_FILES)
            in_files = False
        output.raw("".join(f"alias {each.alias} {each.module}\n" for each in part.aliases))
    if in_files:
        output.raw(END_OF_FILES)
    return 0


def _entry(entry: "ConfigEntry") -> str:
    from kmodd.v1.database_service_pb2 import ConfigDirective

    directive = ConfigDirective.Name(entry.directive).rpartition("_")[2].lower()
    name = f"{directive} {entry.name}"
    return name if directive == "blacklist" else f"{name} {entry.text}"


def show_symbols(
    client: "Client", word: str, what: str, release: str, output: Output, *, every: bool = False
) -> int:
    """Print the ``versions`` or the ``exports`` of a module with their CRCs.

    ``word`` is a module's file, or a name or an alias of modules. ``every`` (-a) makes what goes
    wrong a warning.
    """
    tell = output.warning if every else output.fatal
    if _is_path(word):
        try:
            infos = [(word, client.inspect(word))]
        except OSError as error:
            if os.path.exists(word):
                tell(f"could not get {_NOUNS[what]} of {word}: {error.strerror}")
            else:
                tell(f"Module {word} not found.")
            return 1
    else:
        try:
            infos = _named(client, word, release, output)
        except CallError as error:
            tell(f"Module {word} not found in directory {error.detail}")
            return 1
    failed = False
    for name, info in infos:
        failed = _tell_symbols(name, info, what, output, tell)
    if output.json and not failed:
        if _is_path(word):
            output.message(infos[0][1])
        else:
            output.messages([info for _, info in infos])
    return int(failed)


_NOUNS = {"versions": "modversions", "exports": "symbols"}


def _is_path(word: str) -> bool:
    """Tell whether a word is a file's path, which module names are not."""
    return "/" in word or (".ko" in word and os.path.isfile(word))


def _named(
    client: "Client", name: str, release: str, output: Output
) -> "list[tuple[str, ModuleInfo]]":
    """Return what each module says of itself that ``name`` stands for; raises CallError."""
    response = client.resolve(name, release)
    for problem in response.config_problems:
        output.library(problem)
    asked = {"module_name_only": True, "symbols": True}
    return [
        (module, info)
        for module in response.modules
        for info in client.module_infos(module, release, **asked)
    ]


def _tell_symbols(
    name: str, info: "ModuleInfo", what: str, output: Output, tell: "Callable[[str], None]"
) -> bool:
    """Print the symbols of one module; returns whether they cannot be told."""
    symbols = getattr(info, what)
    if not symbols:
        why = info.error if info.error and not info.error_errno else os.strerror(_errno(info))
        tell(f"could not get {_NOUNS[what]} of {name}: {why}")
        return True
    if not output.json:
        output.raw("".join(f"0x{each.crc:08x}\t{each.symbol}\n" for each in symbols))
    return False


def _errno(info: "ModuleInfo") -> int:
    """Return kmod's errno for a file whose symbols cannot be told; ENOENT where it has none."""
    return info.error_errno or errno.ENOENT


def show_names(
    client: "Client", names: list[str], release: str, output: Output, *, every: bool
) -> int:
    """Print the modules that names stand for, as ``modprobe -R`` does.

    What is wrong with the configuration is told with the first answer.
    """
    status = 0
    found: list[ResolveAliasResponse] = []
    for name in names:
        try:
            response = client.resolve(name, release)
        except CallError as error:
            tell = output.warning if every else output.fatal
            tell(f"Module {name} not found in directory {error.detail}")
            status = 1
            continue
        for problem in () if found else response.config_problems:
            output.library(problem)
        found.append(response)
        if not output.json:
            output.raw("".join(f"{module}\n" for module in response.modules))
    if output.json:
        output.messages(list(found))
    return status

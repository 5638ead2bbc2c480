# SPDX-License-Identifier: Apache-2.0
"""What modprobe tells without loading anything: names, the configuration, modules' symbols."""

import errno
import os

from kmodctl.errors import CallError
from kmodctl.output import Output, shown_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kmodctl.api import Api
    from kmodd.messages.database_service import ConfigEntry, ModuleInfo, ResolveAliasResponse

END_OF_FILES = "\n# End of configuration files. Dumping indexes now:\n\n"


def show_configuration(api: "Api", release: str, output: Output) -> int:
    """Print the configuration and the modules' aliases, as ``modprobe -c`` does."""
    from kmodd.messages.database_service import GetConfigurationRequest, GetConfigurationResponse

    parts = api.databases.get_configuration(GetConfigurationRequest(release=release))
    if output.json:
        whole = GetConfigurationResponse()
        for part in parts:
            whole.problems += part.problems
            whole.entries += part.entries
            whole.aliases += part.aliases
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
    from kmodd.messages.database_service import CONFIG_DIRECTIVE

    directive = shown_name(CONFIG_DIRECTIVE, entry.directive)
    name = f"{directive} {entry.name}"
    return name if directive == "blacklist" else f"{name} {entry.text}"


def show_symbols(
    api: "Api", word: str, what: str, release: str, output: Output, *, every: bool = False
) -> int:
    """Print the ``versions`` or the ``exports`` of a module with their CRCs.

    ``word`` is a module's file, or a name or an alias of modules. ``every`` (-a) makes what goes
    wrong a warning.
    """
    tell = output.warning if every else output.fatal
    if _is_path(word):
        from kmodctl.local import inspect

        try:
            infos = [(word, inspect(word))]
        except OSError as error:
            if os.path.exists(word):
                tell(f"could not get {_NOUNS[what]} of {word}: {error.strerror}")
            else:
                tell(f"Module {word} not found.")
            output.failure(error)
            return 1
    else:
        try:
            infos = _named(api, word, release, output)
        except CallError as error:
            tell(f"Module {word} not found in directory {error.detail}")
            output.failure(error)
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


def _named(api: "Api", name: str, release: str, output: Output) -> "list[tuple[str, ModuleInfo]]":
    """Return what each module says of itself that ``name`` stands for; raises CallError."""
    from kmodd.messages.database_service import GetModuleInfoRequest, ResolveAliasRequest

    response = api.databases.resolve_alias(ResolveAliasRequest(name=name, release=release))
    for problem in response.config_problems:
        output.library(problem)

    def infos_of(module: str) -> "list[ModuleInfo]":
        request = GetModuleInfoRequest(
            name=module, release=release, module_name_only=True, symbols=True
        )
        return api.databases.get_module_info(request).modules

    return [(module, info) for module in response.modules for info in infos_of(module)]


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


def show_names(api: "Api", names: list[str], release: str, output: Output, *, every: bool) -> int:
    """Print the modules that names stand for, as ``modprobe -R`` does.

    What is wrong with the configuration is told with the first answer.
    """
    from kmodd.messages.database_service import ResolveAliasRequest

    status = 0
    found: list[ResolveAliasResponse | dict[str, Any]] = []
    for name in names:
        try:
            request = ResolveAliasRequest(name=name, release=release)
            response = api.databases.resolve_alias(request)
        except CallError as error:
            tell = output.warning if every else output.fatal
            tell(f"Module {name} not found in directory {error.detail}")
            if output.json:
                found.append(output.failed(error, name=name))
            status = 1
            continue
        for problem in () if found else response.config_problems:
            output.library(problem)
        found.append(response)
        if not output.json:
            output.raw("".join(f"{module}\n" for module in response.modules))
    if output.json:
        output.messages(found)
    return status

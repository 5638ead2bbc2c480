# SPDX-License-Identifier: Apache-2.0
"""What the kernel's command line says about modules (modprobe(8); libkmod's own rules).

``MODULE.PARAMETER[=VALUE]`` is an option of the module, ``modprobe.blacklist=A,B`` blacklists. The
kernel's own ``module_blacklist=`` is another thing, and the kernel minds it.
"""

from __future__ import annotations

from kmodd.config.directives import SPACES, Blacklist, Options, parse_options
from kmodd.errors import RequestError
from kmodd.names import normalise_alias
from kmodd.records import record

SOURCE = "kernel command line"
"""What the entries found here name as their file."""

MAX_LENGTH = 65536
"""Characters of a command line that are looked at; the kernel's own limit is 4 KiB or less."""


@record
class CommandLine:
    """The directives of a command line, in its order, and the words that were not understood."""

    options: tuple[Options, ...]
    blacklist: tuple[Blacklist, ...]
    problems: tuple[str, ...]


def parse_command_line(text: str) -> CommandLine:
    """Return what a kernel command line says about modules; never raises.

    A word with an unbalanced quote is skipped, as is a dotted word that is no option. GRUB puts
    the quotes around a whole word, and kmod moves them to the value where the kernel needs them:
    ``"mod.p=a b"`` means ``mod.p="a b"``. Names in ``modprobe.blacklist=`` are taken as written,
    so one with a dash blacklists nothing; the same name in a file does.
    """
    options: list[Options] = []
    blacklist: list[Blacklist] = []
    problems: list[str] = []
    for word in _words(text[:MAX_LENGTH]):
        quote = '"' if word.startswith('"') else ""
        found = _option(word.removeprefix(quote))
        if found is None or word.count('"') % 2:
            continue
        module, parameter, value = found
        if module == "modprobe" and parameter == "blacklist" and value is not None:
            names = (quote + value).split(",")
            blacklist += [Blacklist(name, SOURCE) for name in names if name]
            continue
        setting = parameter if value is None else f"{parameter}={quote}{value}"
        try:
            if setting:
                options.append(parse_options(normalise_alias(module), setting, SOURCE))
        except RequestError:
            problems.append(f"{SOURCE}: ignoring bad module name '{module}'")
    return CommandLine(tuple(options), tuple(blacklist), tuple(problems))


def _words(text: str) -> list[str]:
    """Split at what isspace(3) calls a space in the C locale, but not between quotes."""
    words = [""]
    for at, part in enumerate(text.split('"')):
        if at:
            words[-1] += '"'
        if at % 2:
            words[-1] += part
        else:
            first, *rest = part.translate(SPACES).split(" ")
            words[-1] += first
            words += rest
    return [word for word in words if word]


def _option(word: str) -> tuple[str, str, str | None] | None:
    """Return the module, the parameter and the value of an option; None for another word."""
    names, equals, value = word.partition("=")
    module, dot, parameter = names.partition(".")
    is_option = module and dot and not {".", '"'} & set(parameter) and '"' not in module
    if not is_option or any(map(str.isspace, names)):
        return None
    return module, parameter, value if equals else None

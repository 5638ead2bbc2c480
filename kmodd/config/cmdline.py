# SPDX-License-Identifier: Apache-2.0
"""What the kernel's command line says about modules (modprobe(8); libkmod's own rules).

``MODULE.PARAMETER[=VALUE]`` is an option of the module, ``modprobe.blacklist=A,B`` blacklists. The
kernel's own ``module_blacklist=`` is another thing, and the kernel minds it.
"""

import re
from dataclasses import dataclass

from kmodd.config.directives import Blacklist, Options, parse_options
from kmodd.errors import RequestError
from kmodd.names import normalise_alias

SOURCE = "kernel command line"
"""What the entries found here name as their file."""

MAX_LENGTH = 65536
"""Characters of a command line that are looked at; the kernel's own limit is 4 KiB or less."""

_WORD = re.compile(r'(?:[^ \t\n\v\f\r"]|"[^"]*(?:"|\Z))+')
_OPTION = re.compile(r'([^.="\s]+)\.([^.="\s]*)(?:=(.*))?', re.DOTALL)


@dataclass(frozen=True, slots=True)
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
    for word in _WORD.findall(text[:MAX_LENGTH]):
        quote = '"' if word.startswith('"') else ""
        found = _OPTION.fullmatch(word, len(quote))
        if found is None or word.count('"') % 2:
            continue
        module, parameter, value = found.groups()
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

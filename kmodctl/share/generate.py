# SPDX-License-Identifier: Apache-2.0
"""Generate the manual pages, what kmodd's completion knows and the schemas of what --json prints.

Run ``python kmodctl/share/generate.py``.

They are made from the parsers, so that they cannot say anything else than the programs do, and
kmodd-api(7) has its table of methods from the API. Give a directory to write them there. The format
of the pages is man(7)'s.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kmodctl.cli import KMOD_VERSION, command_parser, main_parser
from kmodctl.commands import COMMANDS, KMOD, command_module, description, summary
from kmodctl.declarations import SUPPRESS, Declaration
from kmodctl.help import usage_of
from kmodctl.share.declared import operands_of, options_of, subparsers_of, summaries_of
from kmodctl.share.json_schemas import schemas
from kmodctl.share.methods import with_methods
from kmodd import __version__
from kmodd.__main__ import make_parser
from kmodd.settings.toml import SETTINGS, Table, Value
from kmodd.settings.values import CONFIG

SHARE = Path(__file__).resolve().parent

PAGES = (
    "kmodctl (1)",
    "kmodd.toml (5)",
    "kmodd-api (7)",
    "kmodd-emulated (7)",
    "kmodd-fleet (7)",
    "kmodd-vm (7)",
    "kmodd-service (7)",
    "kmodd-state (7)",
    "kmodd (8)",
    "modprobe.d (5)",
)
"""What the pages refer to each other as; those of section 7 are prose, of
which only the table of methods is generated."""

ENVIRONMENT = (
    ("KMODD_SOCKET", "The daemon's socket, where \\fB\\-\\-socket\\fR does not say."),
    ("KMODD_FLEET", "The settings of the fleet, where \\fB\\-\\-config\\fR does not say."),
    ("XDG_RUNTIME_DIR", "Where a user's own daemon listens: \\fIkmodd/kmodd.sock\\fR in there."),
    ("NO_COLOR", "Set to anything, there are no colours unless \\fB\\-\\-color\\fR asks for them."),
    (
        "KMODCTL_PAGER, PAGER",
        "What shows more than the terminal does, the first that is set; empty or \\fIcat\\fR "
        "for nothing. Without them it is \\fBless\\fR(1) or \\fBmore\\fR(1).",
    ),
    ("MODPROBE_OPTIONS", "Options of modprobe that come before those given."),
    ("KMODD_REAL_KMOD", "The preserved kmod, which is executed where no daemon answers."),
)

LINKS = f"""Called by the name of {", ".join(KMOD[:-1])} or {KMOD[-1]}, through a symbolic link,
kmodctl is that tool. Where no daemon has the running kernel, it then answers itself what only
asks, and executes the real kmod for the rest. An emulated kernel is only used where KMODD_SOCKET
names its daemon."""

SOCKETS = """The daemon is the one of --socket, else of $KMODD_SOCKET, else the user's own where
there is one, else the system's, by the first that one can connect to of its sockets
/run/kmodd/admin/kmodd.sock, /run/kmodd/kmodd.sock, which root does not try, and
/run/kmodd/observer/kmodd.sock. Root asks root's daemons alone: another user's, that --socket or
$KMODD_SOCKET names, is refused, and a socket in the $XDG_RUNTIME_DIR of another user is passed
over. For root of a container's user namespace, who listens outside is as good as root."""

NAMES = """Names and texts that modules and callers have brought are shown with their control
characters, line ends and marks of direction escaped. Only what kmod's commands and static-nodes
print on stdout stays as it is, unless that is a terminal, and --json has its own escapes."""

ROOTS = """Options that name another root or another configuration (-d, -C, -b) are not for a daemon
that may be root: kmodctl reads the databases that are published there, with the caller's rights,
and writes nothing. What it plans is loaded by the daemon that it finds, to which the files are
sent, or unloaded there. A module file that is only asked about is read by kmodctl, too, and where
there is no daemon, so is what names a release (-S, -k)."""


SETTINGS_TEXT = """\
A TOML file. The files of the directory beside it are read after it, in the order of their names;
a later value replaces an earlier one, and the tables of deny, grant and socket of all files add
up. What is not a setting is an error. On the kernel linux the files must be root's.

kmodd check-config says what is wrong and where, also with the user, the group and the directory of
a socket, and what the installed kmodd.service does not let it have. It lists the grants, and names
their users and groups that nobody has. SIGHUP has a running kmodd read the files again; where they
are wrong, it keeps what it has. It then takes over deny, kmod_exact, run_commands, labels,
log_level, socket and grant, and everything else with its next start. Options of the command line
count for more than the files.

What is under way on a socket goes on when its settings or the grants change: connections, calls,
holds, watches stay, and the next call is judged by the new ones. Only the connections of callers
who could not connect any more, and of those who become or cease to be admins, end, each with the
last call that is under way on it. A socket whose new settings are wrong (a group that there is not)
stays as it was, and the log says so. One that is taken out, or whose path changes, ends, and so
does what is held there.

At the start a socket that cannot be had is left out, which the log says, and the others serve;
kmodd only fails where there is none, or where another kmodd listens on one of them.

An observer may look. A loader may also load and unload the modules of its allow list, by name or
alias, and what these need comes with them; what an admin has asked for it cannot unload. A steward
may look, and wish for the modules of its allow list (kmodd-state(7)), as a source of its own that
kmodctl apply --source names. An admin may do everything, and with the kernel linux that is to be
root. Who has none of these roles may
ask for whom kmodd takes him (kmodctl whoami), and nothing else.

At a socket with grants it is the grants that give each caller a role, by whom the kernel names for
his connection. They are tried in the order in which they stand, and the first that fits counts; the
role of the socket is the most that any of them gives there. Of each of the lists users, groups,
units and containers that a grant has, one entry must fit. The names of users and groups are looked
up when kmodd starts and with SIGHUP; one that nobody has fits nobody, which the log says. Patterns
are the shell's. For a process that kmodd cannot tell, since it has ended, no grant counts from the
first on that is for its user and names units or containers, and root's has what the others give.
Of a process in more than 256 groups only the group in force counts.
"""

EXAMPLE = """\
kernel = "linux"

[[socket]]
path = "/run/kmodd/admin/kmodd.sock"

[[socket]]
path = "/run/kmodd/observer/kmodd.sock"
role = "observer"
mode = 0o666

[[socket]]
path = "/run/kmodd/loader/kmodd.sock"
role = "loader"
group = "kmodd-loader"
mode = 0o660
allow = ["br_netfilter", "ip_vs*"]

# Everybody may connect to this one, and the grants say what they may do.
[[socket]]
path = "/run/kmodd/kmodd.sock"
role = "loader"
mode = 0o666
grants = true
default = "observer"

[[grant]]
role = "none"
containers = ["*"]

[[grant]]
role = "loader"
groups = ["netops"]
allow = ["wireguard", "nf_*"]

[[grant]]
role = "loader"
users = ["backup"]
units = ["backup.service"]
allow = ["nbd"]
parameters = true

[[deny]]
modules = ["floppy"]
reason = "this machine has none"

[[deny]]
build_id = "5f3c0a97d2b14e68a1c2f9b4e07d3358c6a1b2d4"
reason = "this build leaks"
"""


ENVIRONMENT_TEXT = """These have no say where kmodctl has more rights than who called it: where the
real user or group is not the one in force, or capabilities came with a file."""


def generate(share: Path) -> None:
    """Write all files below ``share``."""
    for path, text in files().items():
        (share / path).parent.mkdir(parents=True, exist_ok=True)
        (share / path).write_text(text, encoding="utf-8")


def files() -> Mapping[str, str]:
    """Return what is generated, by path."""
    return {
        "man/kmodctl.1": _lines(_kmodctl_page()),
        "man/kmodd-api.7": with_methods((SHARE / "man/kmodd-api.7").read_text(encoding="utf-8")),
        "man/kmodd.8": _lines(_kmodd_page()),
        "man/kmodd.toml.5": _lines(_settings_page()),
        "completions/kmodd.json": f"{json.dumps(_kmodd_words(), indent=1)}\n",
        **{f"schemas/{name}.json": text for name, text in schemas().items()},
    }


def _kmodd_words() -> dict[str, Any]:
    """Return what kmodctl completes kmodd's command lines with."""
    parser = make_parser()
    return {
        "options": _words_of(parser),
        "commands": {
            name: {"help": summaries_of(parser)[name], "options": _words_of(command)}
            for name, command in subparsers_of(parser).items()
        },
    }


def _words_of(parser: argparse.ArgumentParser) -> list[dict[str, Any]]:
    """Return the options of a parser; a ``value`` is what stands for it in the help."""
    return [
        {
            "names": list(action.option_strings),
            "value": None if action.nargs == 0 else str(action.metavar or action.dest.upper()),
            "choices": list(map(str, action.choices)) if action.choices else None,
            "help": (action.help or "") % {"default": action.default},
        }
        for action in options_of(parser)
        if action.help != SUPPRESS
    ]


def value_name(action: argparse.Action | Declaration) -> str:
    """Return what stands for an option's value: its choices, or a word that says what it is."""
    if action.choices is not None and not action.metavar:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _kmodctl_page() -> Iterator[str]:
    main = main_parser()
    yield from _head("KMODCTL", 1, "kmodctl", "load, list and unload kernel modules through kmodd")
    yield from (
        ".SH SYNOPSIS",
        ".B kmodctl",
        "[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIWORD\\fR...]",
    )
    yield from (".SH DESCRIPTION", *_text(f"{main.description} Its commands have the options and"))
    yield from _text(
        f"the words, messages and exit statuses of kmod {KMOD_VERSION}; what goes beyond"
    )
    yield from _text("is told as such.")
    for text in (SOCKETS, ROOTS, LINKS, NAMES):
        yield from (".PP", *_text(text))
    yield from (".SH OPTIONS", *_options(main.options()))
    yield ".SH COMMANDS"
    for name in COMMANDS:
        yield from _command(name)
    yield ".SH ENVIRONMENT"
    for name, text in ENVIRONMENT:
        yield from (".TP", f".B {name}", text)
    yield from (".PP", *_text(ENVIRONMENT_TEXT))
    yield from (".SH EXIT STATUS", *_text("0 for success, 1 for anything else."))
    yield from _see_also("kmodctl (1)")


def _command(name: str) -> Iterator[str]:
    """Yield the section of one command."""
    command, parser = command_module(name), command_parser(name)
    usage = usage_of(parser).partition(f" {name} ")[2]
    yield from (f".SS {_escape(name)} {_escape(' '.join(usage.split()))}",)
    yield from _text(f"{summary(command).capitalize()}.")
    yield from (".PP", *_text(description(command)), ".PP")
    common = {name for action in main_parser().options() for name in action.option_strings}
    told = [each for each in parser.options() if not common.issuperset(each.option_strings)]
    yield from _options(each for each in told if not each.is_extension)
    beyond = [each for each in told if each.is_extension]
    if beyond:
        yield from (".PP", *_text("Beyond kmod:"), *_options(beyond))


def _kmodd_page() -> Iterator[str]:
    main = make_parser()
    yield from _head("KMODD", 8, "kmodd", "own a kernel module namespace")
    yield ".SH SYNOPSIS"
    actions = subparsers_of(main)
    for name, parser in actions.items():
        words = map(_shape, operands_of(parser))
        yield from (f".B kmodd {name}", " ".join(["[\\fIOPTION\\fR...]", *words]), ".br")
    yield from (".SH DESCRIPTION", *_text(str(main.description)))
    yield from (".PP", ".nf", *(_escape(line) for line in str(main.epilog).splitlines()), ".fi")
    for name, parser in actions.items():
        yield from (f".SH OPTIONS OF {name.upper()}", *_options(options_of(parser)))
    yield from _see_also("kmodd (8)")


def _settings_page() -> Iterator[str]:
    yield from _head("KMODD.TOML", 5, "kmodd.toml", "settings of kmodd")
    yield from (".SH SYNOPSIS", f"{CONFIG}", ".br", f"{CONFIG}.d/*.toml")
    yield from (".SH DESCRIPTION", *_text(SETTINGS_TEXT))
    tables: dict[str, Table] = {
        "": {name: each for name, each in SETTINGS.items() if isinstance(each, Value)}
    }
    for name, each in SETTINGS.items():
        if isinstance(each, list):
            tables[f"[[{name}]]"] = each[0]
        elif isinstance(each, dict):
            tables[f"[{name}]"] = each
    for title, table in tables.items():
        yield f".SH {_escape(title) or 'SETTINGS'}"
        for name, value in table.items():
            assert isinstance(value, Value)
            meaning = f"{value.meaning[:1].upper()}{value.meaning[1:]}."
            yield from (".TP", f".B {_escape(name)}", *_text(meaning))
    yield from (".SH EXAMPLE", ".nf", *(_escape(line) for line in EXAMPLE.splitlines()), ".fi")
    yield from _see_also("kmodd.toml (5)")


def _see_also(own: str) -> Iterator[str]:
    others = [page for page in PAGES if page != own]
    yield ".SH SEE ALSO"
    for page in others:
        yield f".BR {_escape(page)}{'' if page is others[-1] else ','}"


def _shape(operand: argparse.Action) -> str:
    return f"\\-\\- \\fI{_escape(str(operand.metavar or operand.dest))}\\fR..."


def _head(title: str, section: int, name: str, what: str) -> Iterator[str]:
    yield '.\\" SPDX-License-Identifier: Apache-2.0'
    yield '.\\" Generated by kmodctl/share/generate.py.'
    yield f'.TH {title} {section} "" "kmodd {__version__}" "kmodd"'
    yield from (".SH NAME", f"{name} \\- {_escape(what)}")


def _options(options: Iterable[argparse.Action | Declaration]) -> Iterator[str]:
    """Yield an entry for each option that is not hidden."""
    for action in options:
        if action.help == SUPPRESS:
            continue
        names = ", ".join(f"\\fB{_escape(name)}\\fR" for name in action.option_strings)
        metavar = "" if action.nargs == 0 else f" \\fI{_escape(value_name(action))}\\fR"
        text = (action.help or "") % {"default": action.default}
        yield from (".TP", names + metavar, *_text(f"{text[:1].upper()}{text[1:]}."))


def _text(text: str) -> Iterator[str]:
    """Yield running text in lines that no line of roff's own commands can be mistaken for."""
    for line in text.strip().splitlines():
        yield _escape(line) if line.strip() else ".PP"


def _escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARE)

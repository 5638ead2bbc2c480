# SPDX-License-Identifier: Apache-2.0
"""One file a command.

A command's module has a docstring whose first line is ``name: what it does``, and

    configure(parser)               declares its options and operands
    run(options, api, output)       does it; returns the exit status

and, where it needs them,

    words(words)                    returns the words to read in place of those given
    check(options, output)          tells what is wrong with the options, before a daemon is
                                    asked; returns whether to go on
    place(options)                  returns where to look in place of asking a daemon, or None
    only_asks(options)              tells whether nothing is changed, so that files will do
    asks_about_files(options)       tells whether a release's files are asked about, so that no
                                    daemon is missed
    is_private(options)             tells whether no daemon is asked at all, nor the real kmod; then
    run_private(options, output)    does it
    needs_client(options)           tells whether a call stays open beside others; then
    run_with_client(options, client, output)    does it, and where that is always so there is no run
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

KMOD = ("lsmod", "insmod", "modprobe", "rmmod", "modinfo", "depmod")
"""The commands that are kmod's tools: kmodctl is that tool where it is called by such a name."""

KMODS_OUTPUT = (*KMOD, "static-nodes")
"""The commands whose data programs read as kmod's."""

COMMANDS = (
    *KMOD,
    "param",
    "outdated",
    "reload",
    "static-nodes",
    "tree",
    "graph",
    "list",
    "search",
    "dmesg",
    "top",
    "status",
    "events",
    "operations",
    "metrics",
    "whoami",
    "hold",
    "seal",
    "coverage",
    "state",
    "diff",
    "apply",
    "fleet",
    "check",
    "compare",
    "device",
    "ls",
    "cat",
    "write",
    "ioctl",
    "open",
    "new",
    "dev",
    "completion",
    "help",
)
"""All commands, in the order in which the help lists them."""

HIDDEN = ("complete",)
"""What the shells' completion calls, and no help tells of."""


def command_module(name: str) -> "ModuleType":
    """Return the module of the command ``name``; each is imported when it is first asked for."""
    # importlib says this plainer, and its own import takes longer than the command's.
    return __import__(f"{__name__}.{name.replace('-', '_')}", fromlist=["run"])


def summary(command: "ModuleType") -> str:
    """Return a command's one line."""
    return (command.__doc__ or "").partition("\n")[0].partition(": ")[2]


def description(command: "ModuleType") -> str:
    """Return what a command's docstring says after its first line."""
    return (command.__doc__ or "").partition("\n")[2].strip()

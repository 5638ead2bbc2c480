# SPDX-License-Identifier: Apache-2.0
"""ls: list what modules have made in the emulated kernel's /dev, /proc and /sys

The path is looked up in the emulated kernel, and never on the machine. Directories end in a slash.
With -l, letters tell what can be done with a file: r (kmodctl cat), w (kmodctl write), i (kmodctl
ioctl), p (poll, from a program).
Where modules' own code is not run, they make nothing, and it is said why.
"""

import stat

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api

USES = ((1, "r"), (2, "w"), (3, "i"), (4, "p"))
"""What stands for each FileUse of the API."""


def configure(parser: Parser) -> None:
    """Add the arguments of ls."""
    parser.add_argument(
        "-l",
        dest="long",
        action="store_true",
        help="tell the permissions of each, what can be done with it, and the module that has made"
        " it (- for the kernel)",
    )
    parser.add_argument("path", metavar="PATH", nargs="?", default="/", help="an absolute path")


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the names, one a line."""
    from kmodctl.uploading import sendable
    from kmodd.messages.emulation_service import ListFilesRequest

    files = api.emulation.list_files(ListFilesRequest(path=sendable(options.path))).files
    if output.json:
        output.messages(files)
        return 0
    for file in files:
        name = file.path.rpartition("/")[2]
        shown = f"{name}/" if file.is_directory else name
        if options.long:
            kind = stat.S_IFREG
            if file.is_directory or file.is_device:
                kind = stat.S_IFDIR if file.is_directory else stat.S_IFCHR
            uses = "".join(letter if use in file.uses else "-" for use, letter in USES)
            shown = f"{stat.filemode(kind | file.mode)} {uses} {file.module or '-'} {shown}"
        output.data(shown)
    status = api.status()
    if not status.runs_init:
        output.warning(f"modules have made nothing: {status.why_not_run}")
    return 0

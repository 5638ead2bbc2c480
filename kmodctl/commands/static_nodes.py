# SPDX-License-Identifier: Apache-2.0
"""static-nodes: tell which device nodes load a module when they are opened

systemd makes these nodes early in the boot, from the tmpfiles form of this.
"""

import os

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.database_service import StaticNode

FORMATS = ("human", "tmpfiles", "devname")


def configure(parser: Parser) -> None:
    """Add the arguments of ``kmod static-nodes``."""
    add = parser.add_argument
    add("-o", "--output", metavar="FILE", help="write into a file, not to stdout")
    add(
        "-f",
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="for people, for tmpfiles.d(5), or as in modules.devname",
    )


def asks_about_files(_options: CommandOptions) -> bool:
    """Tell that modules.devname says it all."""
    return True


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the nodes, or write them into a file whose directory is made if need be."""
    from kmodd.messages.database_service import GetStaticNodesRequest

    try:
        nodes = api.databases.get_static_nodes(GetStaticNodesRequest()).nodes
    except CallError as error:
        if error.reason != "TREE_NOT_FOUND":
            raise
        output.warning(f"{error.detail}/modules.devname not found - ignoring")
        return 0
    if output.json:
        output.messages(nodes)
        return 0
    text = "".join(_lines(node, options.format) for node in nodes)
    if options.output is None:
        output.raw(text)
        return 0
    try:
        os.makedirs(os.path.dirname(options.output) or ".", exist_ok=True)
        with open(options.output, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        output.error(f"could not create {options.output} - {os.strerror(error.errno or 0)}")
        return 1
    return 0


def _lines(node: "StaticNode", form: str) -> str:
    from kmodd.messages.database_service import DEVICE_KIND_CHARACTER

    is_character = node.kind == DEVICE_KIND_CHARACTER
    letter = "c" if is_character else "b"
    if form == "devname":
        return f"{node.module} {node.path} {letter}{node.major}:{node.minor}\n"
    if form == "tmpfiles":
        directory = os.path.dirname(node.path)
        made = f"d /dev/{directory} 0755 - - -\n" if directory else ""
        return f"{made}{letter}! /dev/{node.path} 0600 - - - {node.major}:{node.minor}\n"
    kind = "character" if is_character else "block"
    return (
        f"Module: {node.module}\n"
        f"\tDevice node: /dev/{node.path}\n"
        f"\t\tType: {kind} device\n"
        f"\t\tMajor: {node.major}\n"
        f"\t\tMinor: {node.minor}\n"
    )

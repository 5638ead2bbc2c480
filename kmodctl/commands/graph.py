# SPDX-License-Identifier: Apache-2.0
"""graph: draw who needs whom

Draws the modules that are named and all that they need; without a name all modules of the tree, or
with --loaded those that are loaded. A line goes from a module to one whose symbols it uses, a
dashed one to one that is to be loaded before or after it (softdep). An area is a size, loaded ones
are filled, held ones are marked. The html is one file for any browser, in which modules are found
as one types and followed by a click. svg is drawn by graphviz.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api

FORMATS = ("svg", "dot", "mermaid", "html")


def configure(parser: Parser) -> None:
    """Add the arguments of graph."""
    add = parser.add_argument
    add("-l", "--loaded", action="store_true", help="leave out modules that are not loaded")
    add(
        *("-f", "--format"),
        metavar="FORMAT",
        choices=FORMATS,
        help="svg, dot, mermaid or html (default: what FILE ends with, or dot)",
    )
    add("-o", "--output", metavar="FILE", help="write into FILE, not to stdout")
    add("-S", "--set-version", dest="release", metavar="VERSION", default="", help="the release")
    add("modules", metavar="MODULE", nargs="*", help="a module's name, or an alias")


def asks_about_files(options: CommandOptions) -> bool:
    """Tell whether a release is named."""
    return bool(options.release) and not options.loaded


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Gather, draw, and print or write."""
    from kmodctl.pictures.drawing import dot, mermaid, svg
    from kmodctl.pictures.gathering import document, gathered
    from kmodctl.pictures.page import page

    ending = (options.output or "").rpartition(".")[2]
    chosen = options.format or {"mmd": "mermaid"}.get(ending, ending)
    draw = {"svg": svg, "mermaid": mermaid, "html": page}.get(chosen, dot)
    graph = gathered(
        api,
        options.modules,
        options.release,
        loaded_only=options.loaded,
        details=draw is page or output.json,
    )
    if output.json:
        output.document(document(graph))
        return 0
    text = draw(graph)
    if options.output is None:
        output.raw(text)
        return 0
    try:
        with open(options.output, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as error:
        output.error(f"{options.output}: {error.strerror}")
        return 1
    return 0

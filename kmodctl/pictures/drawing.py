# SPDX-License-Identifier: Apache-2.0
"""Graphs as text for programs that draw: graphviz's DOT, Mermaid, and SVG that graphviz makes."""

import subprocess

from kmodctl.errors import KmodctlError
from kmodctl.pictures.gathering import NEEDS, Graph, Node
from kmodd.escapes import escaped

MANY = 600
"""Modules from which on layers are no picture any more, and take minutes: springs are used."""


class DrawingError(KmodctlError):
    """A picture that cannot be made; the message says why."""

    reason = "NOT_DRAWN"


def dot(graph: Graph) -> str:
    """Return the graph in DOT (graphviz.org/doc/info/lang.html).

    A module's area is its size, a loaded one is filled, a held one has a double border, a builtin
    one is dotted; soft dependencies are dashed.
    """
    lines = ["digraph modules {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    lines += [
        f"  {_quoted(node.name)} [{', '.join(_node_attributes(node))}];"
        for node in graph.nodes.values()
    ]
    for (user, used), kind in graph.lines.items():
        style = "" if kind == NEEDS else f' [style=dashed, label="{kind}"]'
        lines.append(f"  {_quoted(user)} -> {_quoted(used)}{style};")
    return "\n".join([*lines, "}", ""])


def mermaid(graph: Graph) -> str:
    """Return the graph as a flowchart of Mermaid's (mermaid.js.org/syntax/flowchart.html)."""
    numbers = {name: f"m{number}" for number, name in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes.values():
        style = ":::loaded" if node.loaded else ""
        held = " (held)" if node.held else ""
        lines.append(f'  {numbers[node.name]}["{_entities(escaped(node.name))}{held}"]{style}')
    for (user, used), kind in graph.lines.items():
        if user in numbers and used in numbers:
            arrow = "-->" if kind == NEEDS else f"-. {kind} .->"
            lines.append(f"  {numbers[user]} {arrow} {numbers[used]}")
    lines.append("  classDef loaded fill:#bfe3c0,stroke:#2e7d32,color:#111")
    return "\n".join([*lines, ""])


def svg(graph: Graph) -> str:
    """Return the graph as graphviz draws it; raises DrawingError where that cannot be done."""
    command = ["dot", "-Tsvg"]
    if len(graph.nodes) > MANY:
        command += ["-Ksfdp", "-Goverlap=prism"]
    try:
        drawn = subprocess.run(
            command, input=dot(graph), capture_output=True, encoding="utf-8", check=False
        )
    except FileNotFoundError:
        raise DrawingError(
            "SVG is drawn by dot, of the package graphviz; the formats dot, mermaid and html need"
            " no other program"
        ) from None
    if drawn.returncode:
        raise DrawingError(f"dot: {drawn.stderr.strip() or drawn.returncode}")
    return drawn.stdout


def _node_attributes(node: Node) -> list[str]:
    found = [f"label={_quoted(node.name)}"]
    if node.size:
        side = f"{(node.size / 1024) ** 0.5 / 16:.2f}"
        found += [f"width={side}", f"height={side}"]
    if node.loaded:
        found += ["style=filled", 'fillcolor="#bfe3c0"']
    elif node.builtin:
        found.append("style=dotted")
    if node.held:
        found.append("peripheries=2")
    return found


def _quoted(name: str) -> str:
    r"""Return a name as a quoted string of DOT; a label has escapes, such as \N, of its own."""
    return '"' + escaped(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _entities(text: str) -> str:
    """Return text as it may stand in a label of Mermaid's, which has entities with # for &."""
    safe = (each if each.isalnum() or each in " _-." else f"#{ord(each)};" for each in text)
    return "".join(safe)

# SPDX-License-Identifier: Apache-2.0
"""Who needs whom, asked of a daemon: modules with what is told of them, and the lines between."""

import os
from collections.abc import Iterable
from typing import Any

from kmodctl.api import Api
from kmodctl.errors import CallError
from kmodctl.progress import Bar
from kmodd.messages.database_service import (
    FindModulesRequest,
    GetDependenciesRequest,
    GetModuleInfoRequest,
    ModuleNeeds,
)
from kmodd.messages.module_service import ListModulesRequest, Module

NEEDS, BEFORE, AFTER = "needs", "before", "after"
"""The kinds of lines: one module uses symbols of the other, or the other is loaded before it or
after it where it can be (softdep)."""

DETAILS = ("description", "author", "license", "version", "filename", "firmware", "parm", "alias")
"""What modinfo has that is told of a module; of what there may be hundreds, the first few."""

_FEW = 12


class Node:
    """A module: its name, bytes, path, and whether it is loaded, held and builtin.

    ``details`` are lines of modinfo, by their key.
    """

    __slots__ = ("builtin", "details", "held", "loaded", "name", "path", "size")

    def __init__(self, name: str, path: str = "", *, builtin: bool = False) -> None:
        self.name = name
        self.path = path
        self.builtin = builtin
        self.size = 0
        self.loaded = False
        self.held = False
        self.details: dict[str, list[str]] = {}


class Graph:
    """Modules by their names, and lines as (from, to, kind): the first needs the second."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.lines: dict[tuple[str, str], str] = {}

    def add(self, needs: ModuleNeeds) -> None:
        """Add a module and the lines from it."""
        self.nodes[needs.name] = Node(needs.name, needs.path, builtin=needs.builtin)
        kinds = ((AFTER, needs.soft_after), (BEFORE, needs.soft_before), (NEEDS, needs.depends))
        for kind, names in kinds:
            for name in names:
                self.lines[needs.name, name] = kind

    def keep(self, names: Iterable[str]) -> None:
        """Leave out all other modules, and the lines to them."""
        kept = {*names}
        self.nodes = {name: node for name, node in self.nodes.items() if name in kept}
        self.lines = {ends: kind for ends, kind in self.lines.items() if kept.issuperset(ends)}


def gathered(
    api: Api, names: list[str], release: str, *, loaded_only: bool, details: bool
) -> Graph:
    """Return the graph of what the names stand for and all that these need.

    Without a name it is that of all modules, or of the loaded ones alone. With ``details`` modinfo
    is asked about each. Raises CallError.
    """
    try:
        listed = {each.name: each for each in _listed(api)}
    except CallError:  # a kernel without modules
        listed = {}
    graph = Graph()
    roots = names or ([*listed] if loaded_only else _all_names(api, release))
    for name in _with_progress(roots, "modules"):
        if name in graph.nodes:
            continue
        try:
            request = GetDependenciesRequest(name=name, release=release)
            found = api.databases.get_dependencies(request).modules
        except CallError as error:
            if names or error.reason not in ("MODULE_NOT_FOUND", "INVALID_NAME"):
                raise
            graph.nodes[name] = Node(name)  # it is loaded, and the tree does not have it
            continue
        for needs in found:
            if needs.name not in graph.nodes:
                graph.add(needs)
    if loaded_only:
        graph.keep(listed)
    _tell_state(graph, listed)
    if details:
        _tell_details(api, graph, release)
    return graph


def _listed(api: Api) -> list[Module]:
    found: list[Module] = []
    token = ""
    while True:
        answer = api.modules.list_modules(ListModulesRequest(page_token=token))
        found += answer.modules
        token = answer.next_page_token
        if not token:
            return found


def _all_names(api: Api, release: str) -> list[str]:
    answers = api.databases.find_modules(FindModulesRequest(release=release))
    return [module.name for answer in answers for module in answer.modules]


def _tell_state(graph: Graph, listed: dict[str, Module]) -> None:
    """Note what the kernel has of each module, and its size: in memory, or else its file's."""
    for node in graph.nodes.values():
        module = listed.get(node.name)
        if module is not None:
            node.loaded = True
            node.held = module.hold_count > 0
            node.size = module.size_bytes
            for holder in module.holders:
                if holder in graph.nodes:
                    graph.lines[holder, node.name] = NEEDS
        elif node.path:
            try:
                node.size = os.stat(node.path).st_size
            except OSError:  # the daemon's file system is not ours, or not for us
                node.size = 0


def _tell_details(api: Api, graph: Graph, release: str) -> None:
    for name in _with_progress([*graph.nodes], "modinfo"):
        request = GetModuleInfoRequest(name=name, release=release, module_name_only=True)
        try:
            infos = api.databases.get_module_info(request).modules
        except CallError:  # it is loaded, and the tree does not have it
            continue
        found: dict[str, list[str]] = {}
        for info in infos[:1]:
            for field in info.fields:
                found.setdefault(field.key, []).append(field.value)
        node = graph.nodes[name]
        node.details = {key: found[key] for key in DETAILS if key in found}
        for key, values in node.details.items():
            if len(values) > _FEW:
                node.details[key] = [*values[:_FEW], f"and {len(values) - _FEW} more"]


def _with_progress(names: list[str], what: str) -> "Iterable[str]":
    """Yield the names; a terminal is shown how far that is where there are many."""
    bar = Bar(what)
    for done, name in enumerate(names):
        if len(names) > 100 and done % 25 == 0:
            bar.draw(done, len(names))
        yield name
    bar.wipe()


def document(graph: Graph) -> dict[str, Any]:
    """Return the graph as JSON has it."""
    return {
        "modules": [
            {
                "name": node.name,
                "path": node.path,
                "builtin": node.builtin,
                "size_bytes": node.size,
                "loaded": node.loaded,
                "held": node.held,
                "details": node.details,
            }
            for node in graph.nodes.values()
        ],
        "lines": [
            {"from": ends[0], "to": ends[1], "kind": kind} for ends, kind in graph.lines.items()
        ],
    }

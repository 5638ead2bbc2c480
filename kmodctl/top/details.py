# SPDX-License-Identifier: Apache-2.0
"""What is told beside the table of the module that the cursor is on."""

from collections.abc import Collection, Iterator

from rich.text import Text

from kmodctl.aio import Client
from kmodctl.errors import CallError
from kmodctl.output import shown_name
from kmodctl.top.following import MODULES, plain
from kmodctl.top.rows import Row
from kmodctl.top.telling import as_line, shown
from kmodd.messages.database_service import ModuleInfo, ModuleNeeds
from kmodd.messages.module_service import INIT_STATE, MODULE_STATE, GetModuleResponse, Parameter

DATABASES = "/kmodd.v1.DatabaseService/"

TOLD = ("description", "version", "author", "license", "filename", "firmware")
"""What modinfo has that is told, in that order."""

FEW = 6
"""Values of one key that are told."""


async def details(client: Client, row: Row, methods: Collection[str]) -> Text:
    """Return all that the caller may know of a loaded module; why not, where a call fails."""
    text = Text().append(shown(row.name, "bold"))
    lines: list[Text] = []
    parameters: list[Parameter] = []
    try:
        if MODULES + "GetModule" in methods:
            module = plain(GetModuleResponse, await client.get_module(row.name))
            parameters = module.parameters
            lines += (_fact(*fact) for fact in _state(module))
        lines += (_fact(*fact) for fact in (("used by", row.holders), ("held by", row.held)))
        if DATABASES + "GetModuleInfo" in methods:
            lines += [_fact(*fact) for fact in await _said(client, row.name)]
        lines += map(_parameter, parameters)
        if DATABASES + "GetDependencies" in methods:
            lines += [_fact(*fact) for fact in await _needs(client, row.name)]
    except CallError as error:
        lines.append(as_line(f"ERROR: {error.message}"))
    for line in lines:
        if line:
            text.append("\n").append(line)
    return text


def _fact(name: str, value: str) -> Text:
    return Text().append(shown(f"{name}: ", "dim")).append(shown(value)) if value else Text()


def _state(answer: GetModuleResponse) -> Iterator[tuple[str, str]]:
    module = answer.module
    if module is None:
        return
    permanent = ", permanent" if module.permanent else ""
    yield "state", shown_name(MODULE_STATE, module.state) + permanent
    why = f": {module.why_not_run}" if module.why_not_run else ""
    yield "init", shown_name(INIT_STATE, module.init_state).replace("_", " ") + why
    yield "taints", module.taints


async def _said(client: Client, name: str) -> list[tuple[str, str]]:
    """Return what the module's file says of itself, if the tree has it."""
    try:
        infos = await client.module_infos(name, module_name_only=True)
    except CallError as error:
        if error.reason != "MODULE_NOT_FOUND":
            raise
        return [("file", "the tree has none")]
    info = plain(ModuleInfo, infos[0]) if infos else ModuleInfo()
    found: dict[str, list[str]] = {"filename": [info.path] if info.path else []}
    for field in info.fields:
        found.setdefault(field.key, []).append(field.value)
    told = [(key, value) for key in TOLD for value in found.get(key, ())[:FEW]]
    return [*told, ("file", info.error)]


def _parameter(parameter: Parameter) -> Text:
    value = "?" if parameter.value is None else parameter.value
    kind = f"({parameter.type})" if parameter.type else ""
    about = " ".join(filter(None, (kind, parameter.description)))
    return _fact("parameter", f"{parameter.name}={value} {about}".rstrip())


async def _needs(client: Client, name: str) -> list[tuple[str, str]]:
    """Return what the module itself needs, and what it wants before and after it."""
    try:
        answer = await client.dependencies(name)
    except CallError as error:
        if error.reason != "MODULE_NOT_FOUND":
            raise
        return []
    needs = next(
        (plain(ModuleNeeds, each) for each in answer.modules if each.name == name), ModuleNeeds()
    )
    return [
        ("needs", " ".join(needs.depends)),
        ("wants before it", " ".join(needs.soft_before)),
        ("wants after it", " ".join(needs.soft_after)),
    ]

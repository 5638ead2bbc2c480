# SPDX-License-Identifier: Apache-2.0
"""What may be done: each deed is planned by the daemon first, and done once it is agreed to."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from kmodctl.aio import AsyncHeldModules, Client
from kmodctl.commands.param import WRITABLE
from kmodctl.commands.reload import tell_fate
from kmodctl.modprobe_words import Complaints, step_line
from kmodctl.quoting import join_parameters, split_options
from kmodctl.top.following import MODULES, plain
from kmodctl.top.rows import shown_holder
from kmodctl.top.telling import Words
from kmodd.messages.daemon_service import WhoAmIResponse
from kmodd.messages.errors import Step
from kmodd.messages.module_service import Hold, ModuleResult, ReloadModulesResponse

CALLED = {
    "load": "LoadModules",
    "unload": "UnloadModules",
    "hold": "HoldModules",
    "end_hold": "EndHold",
    "reload": "ReloadModules",
    "set": "SetParameter",
}
"""The deeds, each with the method of ModuleService that does it."""

NOTE = "kmodctl top"
"""What others are told of holds."""

WITHOUT_MODULE = ("load",)
"""The deeds that are not done to the module that the cursor is on."""


@dataclass(frozen=True, slots=True)
class PlannedDeed:
    """A question, what would be done, a line each, and what does it and returns what to say."""

    question: str
    lines: list[str]
    do: Callable[[], Awaitable[list[str]]]


class RefusedError(Exception):
    """Something that cannot be done; ``lines`` say why in kmodctl's words."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def may(deed: str, who: WhoAmIResponse, module: str | None) -> bool:
    """Tell whether the caller may do a deed, to ``module`` where there is one to do it to."""
    if MODULES + CALLED[deed] not in who.methods:
        return False
    if deed in WITHOUT_MODULE:
        return True
    if module is None:
        return False
    if not who.allowed_modules:
        return True
    return _matches(module, who.allowed_modules) and not _matches(module, who.denied_modules)


def _matches(module: str, patterns: Collection[str]) -> bool:
    plain_name = module.replace("-", "_")
    return any(fnmatchcase(plain_name, pattern.replace("-", "_")) for pattern in patterns)


async def load(client: Client, line: str) -> PlannedDeed:
    """Plan to load what a line names, a module and its parameters as modprobe(8) takes them."""
    name, *parameters = split_options(line) or [""]
    given = join_parameters(parameters)

    async def ask(*, dry_run: bool) -> list[Step]:
        (result,) = await client.load(
            name, parameters=given, dry_run=dry_run, failure_in_result=True
        )
        return _steps(plain(ModuleResult, result), removing=False)

    async def do() -> list[str]:
        return _done(await ask(dry_run=False), removing=False)

    lines = _done(await ask(dry_run=True), removing=False)
    return PlannedDeed(f"Load {name}?", lines or [f"{name} is loaded already"], do)


async def unload(client: Client, module: str) -> PlannedDeed:
    """Plan to unload a module and what is unused without it."""

    async def ask(*, dry_run: bool) -> list[Step]:
        (result,) = await client.unload(module, dry_run=dry_run, failure_in_result=True)
        return _steps(plain(ModuleResult, result), removing=True)

    async def do() -> list[str]:
        steps = await ask(dry_run=False)
        words = Words()
        for step in steps:
            words.leaks(step.module, step.leaks)
        return [*_done(steps, removing=True), *words.lines]

    return PlannedDeed(f"Unload {module}?", _done(await ask(dry_run=True), removing=True), do)


async def reload(client: Client, module: str) -> PlannedDeed:
    """Plan to reload a module with what uses it."""

    async def ask(*, dry_run: bool) -> list[str]:
        answer = plain(ReloadModulesResponse, await client.reload(module, dry_run=dry_run))
        words = Words()
        for each in answer.modules:
            tell_fate(each, words)
        steps = (step for step in answer.steps if step.done or dry_run)
        if dry_run and not answer.steps and words.lines:
            raise RefusedError(words.lines)
        return [*_done(steps, removing=False), *words.lines]

    async def do() -> list[str]:
        return await ask(dry_run=False)

    return PlannedDeed(f"Reload {module}?", await ask(dry_run=True), do)


async def set_parameter(client: Client, module: str, line: str) -> PlannedDeed:
    """Plan to set the parameter that a line names, as NAME=VALUE."""
    name, equals, value = line.partition("=")
    if not equals:
        raise RefusedError([f"ERROR: '{line}' is no NAME=VALUE"])
    wanted = name.replace("-", "_")
    found = await client.get_parameters(module)
    now = [f"it is {each.value}" for each in found if each.name == wanted]

    async def do() -> list[str]:
        parameter = await client.set_parameter(module, name, value)
        return [f"{module}: {parameter.name}={parameter.value}"]

    return PlannedDeed(f"Set {name} of {module} to '{value}'?", now, do)


async def settable(client: Client, module: str) -> list[str]:
    """Return the parameters of a loaded module that can be set, as NAME=VALUE."""
    found = await client.get_parameters(module)
    return [f"{each.name}={each.value}" for each in found if each.mode & WRITABLE]


async def hold(client: Client, module: str, own: dict[str, AsyncHeldModules]) -> PlannedDeed:
    """Plan to hold a module until kmodctl top ends; the hold is put among one's ``own``."""

    async def do() -> list[str]:
        own[module] = await client.hold(module, note=NOTE)
        return [f"held: {' '.join(own[module].answer.modules)}"]

    return PlannedDeed(f"Hold {module} until kmodctl top ends?", [], do)


async def end_holds(client: Client, holds: Sequence[Hold]) -> PlannedDeed:
    """Plan to end holds of others."""

    async def do() -> list[str]:
        for each in holds:
            await client.end_hold(each.hold)
        return [f"ended: hold {each.hold}" for each in holds]

    lines = [f"{each.hold}: {' '.join(each.modules)}, {shown_holder(each)}" for each in holds]
    return PlannedDeed("End these holds of others?", lines, do)


def _steps(result: ModuleResult, *, removing: bool) -> list[Step]:
    """Return the steps of what went well; raises RefusedError for what did not."""
    if result.failure is None:
        return result.steps
    words = Words()
    complaints = Complaints(words, every=False, verbose=True, wait=False, exact=False)
    if removing:
        complaints.of_unload(result.name, result.failure)
    else:
        complaints.of_load(result.name, result.failure, result.steps)
    raise RefusedError(words.lines or [f"ERROR: {result.failure.message}"])


def _done(steps: Iterable[Step], *, removing: bool) -> list[str]:
    """Return the lines of the steps that do something, with the paths as the tree has them."""
    lines = []
    for step in steps:
        line = "" if step.needless else step_line(step, removing=removing).rstrip()
        if line and not line.startswith("builtin "):
            in_tree = step.path.partition("/lib/modules/")[2].partition("/")[2]
            lines.append(line.replace(step.path, in_tree) if in_tree else line)
    return lines

# SPDX-License-Identifier: Apache-2.0
"""status: tell how the daemon fares, or a loaded module

Without a name, shows what the daemon is, its kernel, its module tree, and whether that kernel runs
the modules' own code. Of a module it shows what the kernel has of it.
"""

from kmodctl.output import Output, shown_name
from kmodctl.parser import CommandOptions, Parser
from kmodctl.styles import BAD, GOOD, ODD, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kmodctl.api import Api
    from kmodd.messages.daemon_service import GetStatusResponse
    from kmodd.messages.module_service import GetModuleResponse


_WRONG = ("problem", "left out", "at start")
"""What is only told where something is wrong."""

_STATES = {
    "live": GOOD,
    "ran": GOOD,
    "run": GOOD,
    "coming": ODD,
    "going": ODD,
    "not run": ODD,
    "failed": BAD,
}
"""How states are shown, by their first words."""


def configure(parser: Parser) -> None:
    """Add the arguments of status."""
    parser.add_argument("modules", metavar="MODULE", nargs="*", help="a loaded module's name")


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the status of the daemon or of modules, a fact a line."""
    if not options.modules:
        status = api.status()
        if output.json:
            output.message(status)
        else:
            _print(_facts(status), output)
        return 0
    from kmodd.messages.module_service import GetModuleRequest

    answers = [api.modules.get_module(GetModuleRequest(name=name)) for name in options.modules]
    if output.json:
        output.messages(answers)
        return 0
    for at, answer in enumerate(answers):
        if at:
            output.data("")
        _print(_module_facts(answer), output)
    return 0


def _print(facts: "Iterable[tuple[str, str]]", output: Output) -> None:
    for name, value in facts:
        state = value.partition(":")[0].partition(",")[0]
        style = BAD if name in _WRONG else _STATES.get(state) if name in ("init", "state") else None
        output.data(f"{name + ':':<10} ", value if style is None else Styled(value, style))


def _module_facts(answer: "GetModuleResponse") -> "Iterator[tuple[str, str]]":
    from kmodd.messages.module_service import INIT_STATE, MODULE_STATE, ORIGIN, Module

    module = answer.module or Module()
    yield "module", module.name
    state = shown_name(MODULE_STATE, module.state)
    yield "state", state + (", permanent" if module.permanent else "")
    init = shown_name(INIT_STATE, module.init_state)
    why = f": {module.why_not_run}" if init == "not_run" and module.why_not_run else ""
    yield "init", init.replace("_", " ") + why
    for name in module.stubbed_functions:
        yield "stubbed", name
    sizes = f"{answer.core_size_bytes} core, {answer.init_size_bytes} init"
    yield "size", f"{module.size_bytes} bytes ({sizes})"
    yield "used by", " ".join([str(module.reference_count), *module.holders])
    yield "origin", shown_name(ORIGIN, module.origin)
    yield "holds", str(module.hold_count)
    if module.taints:
        yield "taints", module.taints
    for name, field in (("version", "version"), ("srcversion", "source_version")):
        value = getattr(answer, field)
        if value is not None:
            yield name, value
    for parameter in answer.parameters:
        value = "?" if parameter.value is None else parameter.value
        yield "parameter", f"{parameter.name}={value}"
    for section in answer.sections:
        yield "section", f"{section.name} {section.address:#x}" if section.address else section.name
    for note in answer.notes:
        yield "note", f"{note.name} {note.contents.hex()}"


def _facts(status: "GetStatusResponse") -> list[tuple[str, str]]:
    from kmodd.messages.daemon_service import KERNEL_KIND
    from kmodd.messages.policy import ROLE
    from kmodd.messages.well_known import Duration

    kind = shown_name(KERNEL_KIND, status.kernel)
    role = shown_name(ROLE, status.role)
    tree = status.tree
    uptime = status.uptime or Duration()
    facts = [
        ("daemon", f"kmodd {status.version}, pid {status.pid}, up {uptime.seconds} s"),
        ("kernel", f"{status.release} ({kind})"),
        ("vermagic", status.vermagic or "not known"),
        ("symbols", status.symbol_source),
        ("boot id", status.boot_id or "not known"),
        ("taints", f"{status.taints} ({status.taint_mask})" if status.taint_mask else "none"),
        ("init", "run" if status.runs_init else f"not run: {status.why_not_run}"),
        ("modules", _counts(status)),
        (
            "under way",
            f"{status.operation_count} operations, {status.hold_count} holds, "
            f"{status.watch_count} watches",
        ),
        ("root", status.root),
        ("role", role),
    ]
    if status.wish_count:
        wrong = (
            f"{status.unfulfilled_count} not as wished" if status.unfulfilled_count else "all so"
        )
        facts.append(("wishes", f"for {status.wish_count} modules, {wrong}"))
    if tree is not None:
        state = "published" if tree.published else "in memory only"
        facts.append(
            (
                "database",
                f"generation {tree.generation}, {tree.module_count} modules, {state}",
            )
        )
        if tree.problem:
            facts.append(("problem", tree.problem))
        facts += [("left out", f"{each.name} ({each.reason})") for each in tree.left_out]
        facts += [("problem", line) for line in tree.unread_configuration]
    else:
        why = status.tree_refusal or "the release has no module tree"
        facts.append(("database", f"none: {why}"))
    if status.seal is not None:
        from kmodctl.commands.seal import seal_words

        facts.append(("loads", f"none any more: {seal_words(status.seal)}"))
    elif status.refusal:
        facts.append(("loads", f"none: {status.refusal}"))
    facts += [("at start", failure) for failure in status.start_failures]
    return facts


def _counts(status: "GetStatusResponse") -> str:
    """Return how many modules are loaded, and how they came to be.

    What kmodd did not load, others did: while it was there (``others_count``) or before.
    """
    known = status.asked_count + status.dependency_count + status.hotplug_count
    others = status.loaded_count - known
    dependencies = "a dependency" if status.dependency_count == 1 else "dependencies"
    counts = [
        f"{status.asked_count} asked for",
        f"{status.dependency_count} as {dependencies}",
        *([f"{status.hotplug_count} for devices"] if status.hotplug else ()),
        *([f"{others} by others"] if others > 0 else ()),
    ]
    return f"{status.loaded_count} loaded: {', '.join(counts)}"

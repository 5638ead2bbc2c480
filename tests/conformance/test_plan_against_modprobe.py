# SPDX-License-Identifier: Apache-2.0
"""Exact plans are what the machine's own modprobe shows with -D and -n -v, and -R finds the same.

Left out, each for its reason:
- weakdep: the modprobe of kmod 30 does not know it.
- An alias of no module with -n: modprobe says nothing there and fails only when it means it.
- Loops of soft dependencies with -r: modprobe follows them until its stack is gone.
- States in which a removal frees a module: with -n the reference counts never change for modprobe,
  and it lists again what it would have removed already.
- Soft dependencies in use with -r but without -a: modprobe's message about them ends modprobe.
- The exit status of an alias whose last module is blacklisted: modprobe forgets what failed before.
"""

import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from kmodd.config import Config, read_config
from kmodd.config.depmod import DepmodConfig
from kmodd.database import Database
from kmodd.database.rebuild import rebuild
from kmodd.errors import KmoddError, Reason
from kmodd.kernel.base import LoadedModule
from kmodd.plan import (
    BuiltinStep,
    CommandStep,
    InsertStep,
    LoadRequest,
    Plan,
    RemoveStep,
    Step,
    UnloadRequest,
    plan_load,
    plan_unload,
    resolve,
)
from tests.support.debian import DebianTree
from tests.support.modprobe import Answer, Modprobe, host_modprobe, isolated_modprobe, write_kernel
from tests.support.records import database, publish, record, write_files

SEED = 20260711
MODULES = 150
ALIASES = 300
SYMBOLS = 40

SMALL = (
    record("mortar"),
    record("brick", needs=["mortar"], aliases=["block:*"]),
    record("wall", needs=["brick"], aliases=["block:wall", "v0000[1-3]d*"]),
    record("tree", softdeps=["pre: leaf-green", "pre: brick"]),
    record("bush", needs=["tree"], aliases=["v0000[23]d*", "dash-ed-[a-c]-alias"]),
    record("leaf", aliases=["leaf-green", "leaf-*"]),
    record("leaf_old", aliases=["leaf-brown"], softdeps=["leaf post: brick"]),
)
BUILTIN = ("stone",)

PHRASES = {
    Reason.MODULE_NOT_FOUND: "not found",
    Reason.MODULE_ALREADY_LOADED: "Module already in kernel",
    Reason.MODULE_NOT_LOADED: "is not in kernel",
    Reason.MODULE_IN_USE: "is in use",
    Reason.MODULE_BUILTIN: "is builtin",
}
"""How modprobe words each reason."""


def line_of(step: Step, directory: str, parameters: str = "") -> str:
    """The line that modprobe prints for a step; ``parameters`` are those of its command line.

    It parts the configuration's options and these by a blank, even if there are none of these.
    """
    match step:
        case InsertStep():
            line = f"insmod {directory}/{step.record.path} {step.parameters}"
            return f"{line} " if step.parameters and not line.endswith(parameters or "?") else line
        case BuiltinStep():
            return f"builtin {step.name}"
        case RemoveStep():
            return f"rmmod {step.name}"
        case CommandStep(event="install"):
            line = f"install {step.command} {step.options}"
            return f"{line} " if step.options and not line.endswith(parameters or "?") else line
        case CommandStep():
            return f"remove {step.command.replace('$CMDLINE_OPTS', step.options)}"


def attempt(
    make_plans: Callable[[], tuple[Plan, ...]],
) -> tuple[tuple[Plan, ...], KmoddError | None]:
    """Give the plans, and the failure that modprobe's exit status would speak of."""
    try:
        plans = make_plans()
    except KmoddError as error:
        return (), error
    return plans, plans[-1].failure if plans else None


def check(failure: KmoddError | None, theirs: Answer, case: object) -> None:
    """See that modprobe failed as we did, and for the same reason."""
    assert theirs.failed is (failure is not None), case
    assert failure is None or PHRASES[failure.reason] in theirs.errors, case


def lines_of(plans: tuple[Plan, ...], directory: str, parameters: str = "") -> tuple[str, ...]:
    return tuple(line_of(step, directory, parameters) for plan in plans for step in plan.steps)


def once(lines: tuple[str, ...]) -> list[str]:
    """The lines without those that came before."""
    return list(dict.fromkeys(lines))


class Debian:
    """Debian's tree as we know it, and modprobe on the same database and configuration.

    The configuration is what this machine's kernel command line says: modprobe always reads that.
    """

    def __init__(self, database: Database, modprobe: Modprobe, directory: str) -> None:
        self.database = database
        self.modprobe = modprobe
        self.directory = directory
        command_line = Path("/proc/cmdline").read_text(errors="surrogateescape")
        self.config = read_config(modprobe.root, paths=[], command_line=command_line)

    def sample(self) -> list[str]:
        """Modules chosen at random, and all that have soft dependencies of their own."""
        soft = {name for name, _ in self.database.softdeps}
        others = sorted(set(self.database.modules) - soft)
        return sorted({*soft, *random.Random(SEED).sample(others, MODULES - len(soft))})


@pytest.fixture(scope="module")
def debian(debian_tree: DebianTree, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    found = rebuild(str(debian_tree.directory), debian_tree.release, config=DepmodConfig())
    root = tmp_path_factory.mktemp("debian")
    directory = root / "lib/modules" / debian_tree.release
    write_files(found, directory)
    (directory / "kernel").symlink_to(debian_tree.directory / "kernel")
    config = root / "empty"
    config.mkdir()
    return Debian(found, host_modprobe(root, debian_tree.release, config), str(directory))


def test_debians_modules_need_what_modprobe_lists(debian: Debian) -> None:
    names = debian.sample()
    for name, theirs in zip(
        names, debian.modprobe.run_all([("-D", name) for name in names]), strict=True
    ):
        request = LoadRequest(name=name, ignore_loaded=True, exact=True)
        plans = plan_load(request, debian.database, debian.config, {})
        assert lines_of(plans, debian.directory) == theirs.lines, name


def test_debians_modules_load_as_modprobe_would_load_them(debian: Debian) -> None:
    names = debian.sample()
    for name, theirs in zip(
        names, debian.modprobe.run_all([("-n", "-v", name) for name in names]), strict=True
    ):
        plans = plan_load(LoadRequest(name=name, exact=True), debian.database, debian.config, {})
        steps = [step for plan in plans for step in plan.steps]
        if any(Path("/sys/module", word_of(step)).exists() for step in steps):
            continue  # this machine may have it loaded, and modprobe would skip it
        ours = tuple(
            line_of(step, debian.directory) for step in steps if not isinstance(step, BuiltinStep)
        )
        assert ours == theirs.lines, name


def word_of(step: Step) -> str:
    """The name of a step's module."""
    match step:
        case InsertStep():
            return step.record.name
        case CommandStep():
            return step.module
        case RemoveStep() | BuiltinStep():
            return step.name


def queries(debian: Debian) -> list[str]:
    """Aliases as a bus would ask for them: patterns with something in place of each wildcard."""
    chance = random.Random(SEED)
    lines = debian.database.files["modules.alias"].decode().splitlines()[1:]
    patterns = [line.split(" ")[1] for line in chance.sample(lines, ALIASES)]
    lines = debian.database.files["modules.symbols"].decode().splitlines()[1:]
    symbols = [line.split(" ")[1] for line in chance.sample(lines, SYMBOLS)]
    builtin = debian.database.files["modules.builtin.alias.bin"]
    words = [text.decode() for text in re.findall(rb"[a-z]+:[\w-]{4,}", builtin)]
    filled = [
        re.sub(r"\*|\[(.).*?\]", lambda found: found[1] or chance.choice(("", "0")), pattern)
        for pattern in patterns
    ]
    return [*filled, *symbols, *words[:20], "no-such-alias", "symbol:no_such_symbol"]


def test_debians_aliases_stand_for_what_modprobe_says(debian: Debian) -> None:
    asked = queries(debian)
    answered = 0
    for query, theirs in zip(
        asked, debian.modprobe.run_all([("-R", query) for query in asked]), strict=True
    ):
        try:
            targets = resolve(query, debian.database, debian.config).targets
        except KmoddError:
            targets = ()
        assert tuple(target.name for target in targets) == theirs.lines, query
        answered += bool(targets)
    assert answered > ALIASES


class Small:
    """A small root: its database, its configuration's place, and modprobe's view of both."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config"
        self.config.mkdir()
        self.database = database(*SMALL, builtin=BUILTIN, root=path)
        publish(self.database)

    def configure(self, text: str) -> Config:
        """Write the configuration, in files that start like "== name.conf"; one is "k.conf"."""
        name, *rest = re.split(r"^== (.*)\n", text, flags=re.MULTILINE)
        files = {"k.conf": name} | dict(zip(rest[::2], rest[1::2], strict=True))
        for file, content in files.items():
            (self.config / file).write_text(content)
        return read_config(self.path, paths=[self.config])

    def isolated(
        self, loaded: list[tuple[str, int, tuple[str, ...]]]
    ) -> tuple[Modprobe, dict[str, LoadedModule]]:
        """Make modprobe see a kernel with these modules; give that, and our listing of it."""
        kernel = self.path / "kernel"
        write_kernel(kernel, loaded=loaded)
        listing = {
            name: LoadedModule(name, 4096, refcount, holders) for name, refcount, holders in loaded
        }
        release = self.database.release
        return isolated_modprobe(self.path, release, self.config, kernel), listing


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


CONFIGURATIONS = {
    "nothing": "",
    "aliases": (
        "alias wa* leaf\nalias wall bush\nalias other wall\nalias stone leaf\nalias a-b brick\n"
    ),
    "blacklist": "blacklist wall\nblacklist brick\nblacklist leaf\nalias other wall\n",
    "options": (
        "options wall a=1  b=2\noptions block:wall c=3\noptions brick d=4 \noptions wa* e=5\n"
        "alias wa* wall\noptions stone f=6\noptions leaf-* g=7\n"
    ),
    "commands": (
        "install wall echo $CMDLINE_OPTS; true\ninstall br* one\ninstall brick two\n"
        "install virtual three\ninstall stone five\noptions wall a=1\n"
    ),
    "commands and softdeps": (
        "install wall cmd\nsoftdep wall pre: leaf\ninstall leaf leafy\ninstall tree planted\n"
        "softdep brick pre: nothing\ninstall brick baked\n"
    ),
    "softdeps": (
        "softdep wall pre: leaf-green tree post: stone nothing bush\nsoftdep mortar post: leaf\n"
        "softdep w* pre: leaf_old\nsoftdep other pre: leaf\n"
    ),
    "loops": (
        "softdep wall pre: bush\nsoftdep bush pre: wall post: wall bush\n"
        "softdep leaf pre: leaf-green leaf_old\n"
    ),
    "precedence": (
        "== a.conf\nsoftdep tree pre: wall\n== z.conf\nsoftdep tree pre: mortar\n"
        "softdep leaf_old pre: mortar\nsoftdep leaf pre: mortar\n"
    ),
    "builtin": (
        "softdep stone pre: leaf\nsoftdep leaf pre: stone post: dev:stone\nblacklist stone\n"
    ),
    "syntax": (
        "alias a\n  alias other \\\n wall # comment\noptions wall a=\\\n1\ninclude x\n"
        "install brick  spaced  out \nblacklist\n#blacklist wall\nsoftdep leaf brick\n"
    ),
}
NAMES = (
    "wall",
    "brick",
    "tree",
    "bush",
    "leaf",
    "leaf-old",
    "stone",
    "dev:stone",
    "block:wall",
    "leaf-green",
    "v00002d1",
    "dash-ed-b-alias",
    "dash_ed_b_alias",
    "symbol:brick_do",
    "wally",
    "other",
    "a-b",
    "virtual",
    "wall.ko",
    "nothing",
)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_what_is_listed_for_a_configuration_is_what_modprobe_lists(
    small: Small, configuration: str
) -> None:
    config = small.configure(CONFIGURATIONS[configuration])
    modprobe = host_modprobe(small.path, small.database.release, small.config)
    cases = [(name, *flags) for name in NAMES for flags in ((), ("-i",), ("-b",))]
    answers = modprobe.run_all([(*flags, "-D", name, "x=1") for name, *flags in cases])
    for (name, *flags), theirs in zip(cases, answers, strict=True):
        request = LoadRequest(
            name=name,
            parameters="x=1",
            ignore_commands="-i" in flags,
            use_blacklist="-b" in flags,
            ignore_loaded=True,
            exact=True,
        )
        plans, failure = attempt(partial(plan_load, request, small.database, config, {}))
        ours = lines_of(plans, small.database.directory, request.parameters)
        assert ours == theirs.lines, (name, flags)
        check(failure, theirs, (name, flags))


@pytest.mark.parametrize("entry", ["alias other nowhere", "remove other cmd"])
def test_a_name_of_no_module_lists_what_is_soft_about_it(small: Small, entry: str) -> None:
    soft = "softdep nowhere pre: leaf post: mortar\nsoftdep other pre: brick\n"
    config = small.configure(f"{entry}\n{soft}")
    modprobe = host_modprobe(small.path, small.database.release, small.config)
    request = LoadRequest(name="other", ignore_loaded=True, exact=True)
    plans = plan_load(request, small.database, config, {})
    assert lines_of(plans, small.database.directory) == modprobe.run("-D", "other").lines


LOADED = [("mortar", 1, ("brick",)), ("brick", 0, ()), ("leaf", 2, ())]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_what_is_loaded_is_passed_over_as_modprobe_passes_it_over(
    small: Small, configuration: str
) -> None:
    config = small.configure(CONFIGURATIONS[configuration])
    modprobe, loaded = small.isolated(LOADED)
    cases = [(name, *flags) for name in NAMES for flags in ((), ("--first-time",))]
    answers = modprobe.run_all([(*flags, "-n", "-v", name) for name, *flags in cases])
    for (name, *flags), theirs in zip(cases, answers, strict=True):
        request = LoadRequest(name=name, first_time=bool(flags), exact=True)
        plans, failure = attempt(partial(plan_load, request, small.database, config, loaded))
        ours = tuple(
            line_of(step, small.database.directory)
            for plan in plans
            for step in plan.steps
            if not isinstance(step, BuiltinStep) and word_of(step) not in loaded
        )
        assert ours == theirs.lines, (name, flags)
        if configuration != "blacklist":
            check(failure, theirs, (name, flags))


UNLOADING = {
    "nothing": "",
    "aliases": "alias other wall\nalias other leaf\nalias other stone\nalias no nowhere\n",
    "commands": (
        "remove wall echo $CMDLINE_OPTS; true\nremove mortar cmd\nremove virtual three\n"
        "remove leaf four\nremove stone five\noptions wall a=1\nsoftdep tree pre: leaf\n"
    ),
    "softdeps": (
        "== a.conf\nsoftdep tree pre: leaf wall post: mortar nothing leaf_old\n"
        "softdep wall post: leaf stone\nsoftdep leaf post: leaf_old\n"
    ),
    "softdeps and commands": (
        "softdep wall pre: leaf bush post: leaf_old\nremove wall one\nremove leaf two\n"
        "remove bush three\nremove leaf_old four\n"
    ),
    "blacklist": "blacklist wall\nalias other wall\n",
}
STATES: dict[str, list[tuple[str, int, tuple[str, ...]]]] = {
    "empty": [],
    "unused": [("wall", 0, ()), ("tree", 0, ()), ("leaf", 0, ()), ("leaf_old", 0, ())],
    "dependencies": [("wall", 0, ()), ("brick", 0, ()), ("mortar", 0, ()), ("leaf", 1, ())],
    "in use": [("wall", 1, ()), ("brick", 2, ("wall",)), ("leaf", 0, ()), ("leaf_old", 3, ())],
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("configuration", UNLOADING)
def test_what_is_unloaded_is_what_modprobe_would_unload(
    small: Small, configuration: str, state: str
) -> None:
    config = small.configure(UNLOADING[configuration])
    modprobe, loaded = small.isolated(STATES[state])
    names = ("wall", "tree", "leaf", "brick", "stone", "other", "block:wall", "virtual", "no")
    options = ((), ("-i",), ("--first-time",), ("--remove-holders",))
    cases = [(name, *flags) for name in names for flags in options]
    answers = modprobe.run_all([("-r", "-a", "-n", "-v", *flags, name) for name, *flags in cases])
    for (name, *flags), theirs in zip(cases, answers, strict=True):
        request = UnloadRequest(
            name=name,
            ignore_commands="-i" in flags,
            first_time="--first-time" in flags,
            remove_holders="--remove-holders" in flags,
            exact=True,
        )
        plans, failure = attempt(partial(plan_unload, request, small.database, config, loaded))
        ours = lines_of(plans, small.database.directory)
        assert once(ours) == once(theirs.lines), (name, flags)
        check(failure, theirs, (name, flags))

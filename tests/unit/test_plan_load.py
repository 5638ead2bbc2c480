# SPDX-License-Identifier: Apache-2.0
"""What modprobe would load, run and skip for a name."""

from typing import TypedDict, Unpack

import pytest

from kmodd.config import Config, parse_config
from kmodd.errors import LimitError, NotFoundError, Reason, StateError
from kmodd.kernel.base import InsertFlags, LoadedModule, ModuleState
from kmodd.plan import (
    BuiltinStep,
    Cause,
    CommandStep,
    DenyList,
    InsertStep,
    LoadRequest,
    Plan,
    RemoveStep,
    Step,
    plan_load,
)
from tests.support.records import database, record

TREE = database(
    record("crc"),
    record("fat", needs=["crc"]),
    record("vfat", needs=["fat"], aliases=["fs-vfat", "disk"]),
    record("msdos", needs=["fat"], aliases=["fs-msdos", "disk"]),
    record("nls"),
    record("utf8"),
    record("journal", softdeps=["pre: crypto-crc", "pre: nls"]),
    record("crc_fast", aliases=["crypto-crc"]),
    builtin=["loop"],
)
LIVE = LoadedModule(name="", size=4096, refcount=0, holders=())


def word(step: Step) -> str:
    """A step as one short word: +module, !command, =builtin."""
    match step:
        case InsertStep():
            return f"+{step.record.name}"
        case CommandStep():
            return f"!{step.command}"
        case BuiltinStep():
            return f"={step.name}"
        case RemoveStep():
            raise AssertionError(f"{step} in a load plan")


class Flags(TypedDict, total=False):
    use_blacklist: bool
    ignore_commands: bool
    first_time: bool
    ignore_loaded: bool
    exact: bool


def load(
    name: str,
    config: str = "",
    *,
    file: str = "z.conf",
    loaded: tuple[str, ...] = (),
    **flags: Unpack[Flags],
) -> tuple[Plan, ...]:
    live = dict.fromkeys(loaded, LIVE)
    request = LoadRequest(name=name, **flags)
    return plan_load(request, TREE, parse_config(config, file), live)


def words(plans: tuple[Plan, ...]) -> list[str]:
    return [word(step) for plan in plans for step in plan.steps]


def test_dependencies_come_first_the_deepest_first() -> None:
    (plan,) = load("vfat")
    assert words((plan,)) == ["+crc", "+fat", "+vfat"]
    causes = [step.cause for step in plan.steps]
    assert causes == [Cause.DEPENDENCY, Cause.DEPENDENCY, Cause.NAMED]
    assert (plan.asked, plan.target, plan.via_alias, plan.failure) == ("vfat", "vfat", False, None)


def test_a_plan_lists_loaded_dependencies_too() -> None:
    assert words(load("vfat", loaded=("fat", "crc"))) == ["+crc", "+fat", "+vfat"]


def test_a_name_of_several_modules_gives_a_plan_for_each() -> None:
    plans = load("disk")
    assert [plan.target for plan in plans] == ["vfat", "msdos"]
    assert all(plan.via_alias for plan in plans)
    assert words(plans) == ["+crc", "+fat", "+vfat", "+crc", "+fat", "+msdos"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("softdep vfat pre: nls post: utf8", ["+crc", "+fat", "+nls", "+vfat", "+utf8"]),
        ("softdep vfat pre: nls utf8", ["+crc", "+fat", "+nls", "+utf8", "+vfat"]),
        ("softdep vfat post: nls utf8", ["+crc", "+fat", "+vfat", "+nls", "+utf8"]),
        ("softdep fat pre: nls post: utf8", ["+crc", "+nls", "+fat", "+utf8", "+vfat"]),
        (
            "softdep vfat pre: nls\nsoftdep nls pre: utf8",
            ["+crc", "+fat", "+utf8", "+nls", "+vfat"],
        ),
        ("softdep vfat pre: nothing nls", ["+crc", "+fat", "+nls", "+vfat"]),
        (
            "softdep vf* pre: nls\nsoftdep vfat pre: utf8",
            ["+crc", "+fat", "+nls", "+utf8", "+vfat"],
        ),
        ("softdep vfat pre: loop", ["+crc", "+fat", "=loop", "+vfat"]),
        ("softdep vfat pre: fs-msdos", ["+crc", "+fat", "+crc", "+fat", "+msdos", "+vfat"]),
        ("softdep vfat pre: a[ nls", ["+crc", "+fat", "+nls", "+vfat"]),
        ("weakdep vfat nls utf8", ["+crc", "+fat", "+vfat"]),
    ],
)
def test_soft_dependencies_surround_the_module_that_has_them(
    config: str, expected: list[str]
) -> None:
    assert words(load("vfat", config)) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("softdep nls pre: utf8\nsoftdep utf8 pre: nls", ["+utf8", "+nls"]),
        ("softdep nls post: utf8\nsoftdep utf8 post: nls", ["+nls", "+utf8"]),
        ("softdep nls pre: nls post: nls", ["+nls"]),
    ],
)
def test_loops_of_soft_dependencies_end(config: str, expected: list[str]) -> None:
    assert words(load("nls", config)) == expected


def test_all_lines_of_a_modules_own_softdeps_count_but_for_kmod() -> None:
    assert words(load("journal")) == ["+crc_fast", "+nls", "+journal"]
    assert words(load("journal", exact=True)) == ["+crc_fast", "+journal"]


def test_what_counts_beyond_kmod_lists_no_module_twice_where_nothing_counts_as_loaded() -> None:
    config = "softdep utf8 pre: fs-msdos fs-vfat"
    twice = ["+crc", "+fat", "+msdos", "+crc", "+fat", "+vfat", "+utf8"]
    for exact in (False, True):
        assert words(load("utf8", config, ignore_loaded=True, exact=exact)) == twice
    beyond = "softdep utf8 pre: fs-msdos fs-vfat journal"
    once = ["+crc", "+fat", "+msdos", "+vfat", "+crc_fast", "+nls", "+journal", "+utf8"]
    assert words(load("utf8", beyond, ignore_loaded=True)) == once
    assert words(load("utf8", beyond)) == [*twice[:-1], *once[-4:]]


def test_in_kmod_a_configuration_that_sorts_earlier_replaces_a_modules_own_softdeps() -> None:
    early = load("journal", "softdep journal post: nls", file="a.conf", exact=True)
    assert words(early) == ["+journal", "+nls"]
    late = load("journal", "softdep journal post: nls", file="z.conf", exact=True)
    assert words(late) == ["+crc_fast", "+journal"]


def test_soft_dependencies_of_several_lines_add_up() -> None:
    for file in ("a.conf", "z.conf"):
        plans = load("journal", "softdep journal post: utf8\nsoftdep journal pre: crc", file=file)
        assert sorted(words(plans)[:3]) == ["+crc", "+crc_fast", "+nls"]
        assert words(plans)[3:] == ["+journal", "+utf8"]


@pytest.mark.parametrize("exact", [False, True])
def test_a_denied_module_is_not_loaded_nor_what_needs_it(exact: bool) -> None:
    deny = DenyList([("fa*", "no floppies")])
    for name, message in (
        ("fat", "fat is denied: no floppies"),
        ("vfat", "vfat needs fat, which is denied: no floppies"),
    ):
        request = LoadRequest(name=name, exact=exact)
        (plan,) = plan_load(request, TREE, Config(), {}, deny)
        assert plan.steps == ()
        failure = plan.failure
        assert isinstance(failure, StateError)
        assert failure.reason is Reason.MODULE_DENIED
        assert (failure.module, failure.detail) == ("fat", "no floppies")
        assert failure.message == message


def test_a_denied_soft_dependency_is_left_out_and_what_needs_it_too() -> None:
    config = parse_config("softdep utf8 pre: vfat nls")
    (plan,) = plan_load(LoadRequest(name="utf8"), TREE, config, {}, DenyList([("crc", "")]))
    assert words((plan,)) == ["+nls", "+utf8"]
    assert plan.failure is None


def test_what_is_loaded_or_builtin_is_not_denied_any_more() -> None:
    deny = DenyList([("fat", ""), ("loop", "")])
    (plan,) = plan_load(LoadRequest(name="vfat"), TREE, Config(), {"fat": LIVE}, deny)
    assert words((plan,)) == ["+crc", "+fat", "+vfat"]
    assert words(plan_load(LoadRequest(name="loop"), TREE, Config(), {}, deny)) == ["=loop"]


def test_only_soft_dependencies_may_fail() -> None:
    (plan,) = load("vfat", "softdep vfat pre: msdos nls post: utf8")
    required = {}
    for step in plan.steps:
        assert isinstance(step, InsertStep)
        required[step.record.name] = step.required
    assert required == {
        "crc": True,
        "fat": True,
        "msdos": False,
        "nls": False,
        "vfat": True,
        "utf8": False,
    }


def test_options_of_the_module_the_alias_and_the_request_are_joined() -> None:
    config = parse_config("options fs-vfat no=1\noptions d* a=1\noptions vfat b=2\nalias d* vfat\n")
    request = LoadRequest(name="drive", parameters='c="3 4"', flags=InsertFlags.IGNORE_VERMAGIC)
    (plan,) = plan_load(request, TREE, config, {})
    steps = [step for step in plan.steps if isinstance(step, InsertStep)]
    assert [step.parameters for step in steps] == ["", "", 'a=1 b=2 c="3 4"']
    assert {step.flags for step in steps} == {InsertFlags.IGNORE_VERMAGIC}


def test_a_commands_options_are_those_that_the_module_would_get() -> None:
    config = parse_config("install vfat cmd $CMDLINE_OPTS\noptions vfat a=1\n")
    (plan,) = plan_load(LoadRequest(name="vfat", parameters="b=2"), TREE, config, {})
    assert plan.steps[-1] == CommandStep(
        configured="a=1",
        module="vfat",
        event="install",
        command="cmd $CMDLINE_OPTS",
        options="a=1 b=2",
        cause=Cause.NAMED,
        required=True,
    )


@pytest.mark.parametrize(
    ("config", "ignore_commands", "expected"),
    [
        ("install vfat cmd", False, ["+crc", "+fat", "!cmd"]),
        ("install vfat cmd", True, ["+crc", "+fat", "+vfat"]),
        ("install fat cmd", True, ["+crc", "!cmd", "+vfat"]),
        ("install vfat cmd\nsoftdep vfat pre: nls", False, ["+crc", "+fat", "+nls", "!cmd"]),
        ("install vfat cmd\nsoftdep vfat pre: nls", True, ["+crc", "+fat", "+vfat"]),
        ("install vfat cmd\nsoftdep vfat pre: nothing", False, ["+crc", "+fat", "!cmd"]),
        ("install nls cmd\nsoftdep vfat pre: nls", True, ["+crc", "+fat", "+vfat"]),
        ("install nls cmd\nsoftdep fat pre: nls", True, ["+crc", "!cmd", "+fat", "+vfat"]),
    ],
)
def test_install_commands_yield_to_ignore_commands_alone(
    config: str, ignore_commands: bool, expected: list[str]
) -> None:
    assert words(load("vfat", config, ignore_commands=ignore_commands)) == expected


def test_a_command_beside_a_soft_dependency_is_what_kmod_ignores() -> None:
    config = "install vfat cmd\nsoftdep vfat pre: nls"
    assert words(load("vfat", config, exact=True)) == ["+crc", "+fat", "+nls", "+vfat"]


def test_a_command_may_stand_for_a_module_that_is_not_there() -> None:
    assert words(load("virtual", "install virtual cmd")) == ["!cmd"]


@pytest.mark.parametrize(
    ("name", "use_blacklist", "targets"),
    [
        ("vfat", False, ["vfat"]),
        ("vfat", True, []),
        ("fs-vfat", False, []),
        ("disk", False, ["msdos"]),
        ("mine", False, []),
        ("msdos", True, ["msdos"]),
    ],
)
def test_a_blacklist_is_for_aliases_and_on_request_for_names(
    name: str, use_blacklist: bool, targets: list[str]
) -> None:
    config = "blacklist vfat\nblacklist fat\nalias mine vfat\n"
    plans = load(name, config, use_blacklist=use_blacklist)
    assert [plan.target for plan in plans] == targets


def test_a_blacklist_spares_dependencies_and_soft_dependencies() -> None:
    config = "blacklist fat\nblacklist nls\nsoftdep vfat pre: nls"
    assert words(load("vfat", config, use_blacklist=True)) == ["+crc", "+fat", "+nls", "+vfat"]


def test_nothing_is_done_for_a_module_that_is_live() -> None:
    (plan,) = load("vfat", "softdep vfat pre: nls\ninstall vfat cmd", loaded=("vfat",))
    assert plan.steps == ()
    assert plan.failure is None


def test_a_module_that_is_still_loading_is_planned() -> None:
    coming = LoadedModule("vfat", 1, 1, (), state=ModuleState.COMING)
    (plan,) = plan_load(LoadRequest(name="vfat"), TREE, Config(), {"vfat": coming})
    assert words((plan,)) == ["+crc", "+fat", "+vfat"]


def test_a_builtin_module_has_a_plan_that_says_so() -> None:
    assert words(load("loop", "softdep loop pre: nls")) == ["=loop"]
    assert words(load("dev:loop")) == ["=loop"]


def test_a_listing_of_what_is_needed_minds_nothing_that_the_kernel_holds() -> None:
    config = "softdep loop pre: nls\n"
    assert words(load("vfat", loaded=("vfat", "fat"), ignore_loaded=True)) == [
        "+crc",
        "+fat",
        "+vfat",
    ]
    assert words(load("loop", config, ignore_loaded=True)) == ["+nls", "=loop"]
    assert words(load("loop", "install loop cmd\n", ignore_loaded=True)) == ["!cmd"]


@pytest.mark.parametrize("name", ["vfat", "loop"])
def test_first_time_fails_where_the_module_is_in_the_kernel(name: str) -> None:
    (plan,) = load(name, loaded=("vfat",), first_time=True)
    assert plan.steps == ()
    assert plan.failure is not None
    assert plan.failure.reason is Reason.MODULE_ALREADY_LOADED
    assert plan.failure.module == name


def test_first_time_minds_the_named_module_alone() -> None:
    assert words(load("vfat", loaded=("fat",), first_time=True)) == ["+crc", "+fat", "+vfat"]


def test_one_failure_of_several_does_not_lose_the_others() -> None:
    first, second = load("disk", loaded=("vfat",), first_time=True)
    assert first.failure is not None
    assert first.failure.reason is Reason.MODULE_ALREADY_LOADED
    assert words((second,)) == ["+crc", "+fat", "+msdos"]
    assert second.failure is None


def test_an_alias_of_nothing_is_not_found() -> None:
    (plan,) = load("ghost", "alias ghost nowhere")
    assert plan.steps == ()
    assert isinstance(plan.failure, NotFoundError)
    assert (plan.failure.module, plan.failure.detail) == ("nowhere", TREE.directory)
    assert words(load("ghost", "alias ghost nowhere", ignore_loaded=True)) == []


def test_soft_dependencies_of_nothing_are_loaded_before_it_is_missed() -> None:
    (plan,) = load("ghost", "alias ghost nowhere\nsoftdep nowhere pre: nls post: utf8")
    assert words((plan,)) == ["+nls"]
    assert isinstance(plan.failure, NotFoundError)


@pytest.mark.parametrize(
    "config",
    [
        "".join(f"softdep nls pre: b{n}\n" for n in range(30_000)),
        "alias b* nls\n" * 200 + "softdep nls pre: " + " ".join(f"b{n}" for n in range(10_000)),
    ],
)
def test_a_hostile_configuration_is_refused_and_not_followed(config: str) -> None:
    with pytest.raises(LimitError) as caught:
        load("nls", config)
    assert caught.value.reason is Reason.LIMIT_REACHED


def test_a_long_chain_of_soft_dependencies_is_followed_to_its_end() -> None:
    tree = database(
        *(record(f"m{n}", softdeps=[f"pre: m{n + 1}"]) for n in range(3000)), record("m3000")
    )
    (plan,) = plan_load(LoadRequest(name="m0"), tree, Config(), {})
    assert words((plan,)) == [f"+m{n}" for n in range(3000, -1, -1)]

# SPDX-License-Identifier: Apache-2.0
"""What modprobe -r would unload, and in what order."""

from typing import TypedDict, Unpack

import pytest

from kmodd.config import Config, parse_config
from kmodd.errors import LimitError, NotFoundError, Reason, StateError
from kmodd.kernel.base import LoadedModule
from kmodd.plan import (
    Cause,
    CommandStep,
    Plan,
    RemoveStep,
    Step,
    UnloadRequest,
    plan_unload,
)
from tests.support.records import database, record

TREE = database(
    record("crc"),
    record("fat", needs=["crc"]),
    record("vfat", needs=["fat"], aliases=["fs-vfat", "disk"]),
    record("msdos", needs=["fat"], aliases=["fs-msdos", "disk"]),
    record("nls"),
    record("utf8"),
    record("own", softdeps=["pre: nls"]),
    builtin=["loop"],
)

Loaded = dict[str, LoadedModule]


def loaded(*modules: str) -> Loaded:
    """Modules as "fat+1 vfat msdos": the holders, and references of others beside them."""
    listing = {}
    for module in modules:
        first, *holders = module.split()
        name, _, others = first.partition("+")
        refcount = len(holders) + int(others or 0)
        listing[name] = LoadedModule(name, 4096, refcount, tuple(holders))
    return listing


ALL = loaded("crc fat", "fat vfat msdos", "vfat", "msdos", "nls", "utf8")


def word(step: Step) -> str:
    """A step as one short word: -module, ?module for one that must be unused, !command."""
    match step:
        case RemoveStep():
            return f"{'?' if step.if_unused else '-'}{step.name}"
        case CommandStep():
            return f"!{step.command}"
        case _:
            raise AssertionError(f"{step} in an unload plan")


class Flags(TypedDict, total=False):
    use_blacklist: bool
    ignore_commands: bool
    first_time: bool
    remove_holders: bool
    ignore_loaded: bool
    waits: bool
    acts: bool
    force: bool
    exact: bool
    soft_matters: bool


def unload(
    name: str, config: str = "", state: Loaded = ALL, **flags: Unpack[Flags]
) -> tuple[Plan, ...]:
    return plan_unload(UnloadRequest(name=name, **flags), TREE, parse_config(config), state)


def words(plans: tuple[Plan, ...]) -> list[str]:
    return [word(step) for plan in plans for step in plan.steps]


def test_the_named_module_goes_and_what_others_use_stays() -> None:
    (plan,) = unload("vfat")
    assert plan.steps == (RemoveStep("vfat", Cause.NAMED, required=True, if_unused=False),)


def test_what_is_then_unused_goes_too() -> None:
    (plan,) = unload("fat", state=loaded("crc fat", "fat"))
    assert plan.steps == (
        RemoveStep("fat", Cause.NAMED, required=True, if_unused=False),
        RemoveStep("crc", Cause.DEPENDENCY, required=False, if_unused=True),
    )


def test_unused_dependencies_go_users_first_so_that_none_is_left() -> None:
    state = loaded("crc fat", "fat vfat", "vfat")
    assert words(unload("vfat", state=state)) == ["-vfat", "?fat", "?crc"]


def test_in_kmod_unused_dependencies_go_in_one_pass_in_the_order_of_loading() -> None:
    state = loaded("crc fat", "fat vfat", "vfat")
    exact = unload("vfat", state=state, exact=True)
    assert words(exact) == ["-vfat", "?fat"], "crc was passed while in use"
    state = loaded("crc", "fat vfat", "vfat")
    assert words(unload("vfat", state=state, exact=True)) == ["-vfat", "?crc", "?fat"]


def test_what_only_a_modules_own_code_uses_is_tried_when_it_is_done() -> None:
    state = loaded("crc+1 fat", "fat+1 vfat", "vfat")
    assert words(unload("vfat", state=state)) == ["-vfat"]
    assert words(unload("vfat", state=state, acts=True)) == ["-vfat", "?fat", "?crc"]
    assert words(unload("vfat", state=loaded("fat vfat msdos", "vfat", "msdos"), acts=True)) == [
        "-vfat"
    ]


def test_a_plan_of_what_is_not_loaded_takes_it_for_loaded() -> None:
    assert words(unload("own", ignore_loaded=True, state={})) == ["-own", "?nls"]
    assert words(unload("loop", ignore_loaded=True, state={})) == ["-loop"]
    assert words(unload("fat", ignore_loaded=True)) == ["-fat", "?crc"]


def test_a_removal_that_waits_is_planned_whatever_the_users() -> None:
    assert words(unload("fat", waits=True)) == ["-fat", "?crc"]


def test_force_is_for_each_removal() -> None:
    (plan,) = unload("fat", state=loaded("crc fat", "fat"), force=True)
    assert all(isinstance(step, RemoveStep) and step.force for step in plan.steps)


def test_a_module_in_use_is_refused_with_its_users() -> None:
    with pytest.raises(StateError) as caught:
        unload("fat")
    assert caught.value.reason is Reason.MODULE_IN_USE
    assert (caught.value.module, caught.value.detail) == ("fat", "vfat msdos")


def test_a_module_in_use_by_no_module_has_no_users_to_name() -> None:
    with pytest.raises(StateError) as caught:
        unload("nls", state=loaded("nls+2"))
    assert caught.value.detail == ""


def test_holders_go_first_on_request() -> None:
    (plan,) = unload("fat", remove_holders=True)
    assert words((plan,)) == ["-msdos", "-vfat", "-fat", "?crc"]
    assert [step.cause for step in plan.steps] == [
        Cause.HOLDER,
        Cause.HOLDER,
        Cause.NAMED,
        Cause.DEPENDENCY,
    ]


def test_a_holder_in_use_ends_the_plan() -> None:
    state = loaded("fat vfat msdos", "vfat+1", "msdos")
    (plan,) = unload("fat", state=state, remove_holders=True)
    assert words((plan,)) == ["-msdos"]
    assert plan.failure is not None
    assert (plan.failure.reason, plan.failure.module) == (Reason.MODULE_IN_USE, "vfat")


def test_holders_of_holders_are_not_followed() -> None:
    with pytest.raises(StateError) as caught:
        unload("crc", remove_holders=True)
    assert (caught.value.module, caught.value.detail) == ("fat", "vfat msdos")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("softdep vfat pre: nls utf8", ["-vfat", "?utf8", "?nls"]),
        ("softdep vfat post: nls utf8", ["?utf8", "?nls", "-vfat"]),
        ("softdep vfat pre: crc loop nothing own", ["-vfat"]),
        ("softdep vfat pre: nls\nsoftdep nls post: utf8", ["-vfat", "?utf8", "?nls"]),
        ("softdep vfat post: nls\nsoftdep nls post: vfat", ["?nls", "-vfat"]),
        ("softdep vfat pre: nls nls post: nls", ["?nls", "-vfat"]),
        ("softdep vfat pre: fs-msdos", ["-vfat", "?msdos", "?fat", "?crc"]),
        ("softdep vfat pre: nls\nsoftdep vfat pre: utf8", ["-vfat", "?utf8", "?nls"]),
        ("weakdep vfat nls", ["-vfat"]),
    ],
)
def test_soft_dependencies_go_in_the_reverse_order_of_loading(
    config: str, expected: list[str]
) -> None:
    assert words(unload("vfat", config)) == expected


def test_a_users_soft_removal_frees_the_module() -> None:
    state = loaded("fat vfat", "vfat")
    assert words(unload("fat", "softdep fat post: vfat", state)) == ["?vfat", "-fat"]


def test_soft_removals_come_before_the_failure_they_do_not_prevent() -> None:
    (plan,) = unload("fat", "softdep fat post: vfat nls")
    assert words((plan,)) == ["?nls", "?vfat"]
    assert plan.failure is not None
    assert plan.failure.detail == "msdos"


def test_a_modules_own_softdeps_count() -> None:
    assert words(unload("own", state=loaded("own", "nls"))) == ["-own", "?nls"]


@pytest.mark.parametrize(
    ("name", "config", "flags", "expected"),
    [
        ("vfat", "remove vfat cmd", {}, ["!cmd"]),
        ("own", "remove own cmd", {}, ["!cmd", "?nls"]),
        ("fat", "remove fat cmd", {}, ["!cmd"]),
        ("fat", "remove vfat cmd", {"remove_holders": True}, ["-msdos", "!cmd", "-fat", "?crc"]),
        ("vfat", "remove vfat cmd\nsoftdep vfat pre: nls", {"ignore_commands": True}, ["-vfat"]),
        ("vfat", "remove own cmd\nsoftdep vfat pre: own", {}, ["-vfat", "!cmd", "?nls"]),
        ("virtual", "remove virtual cmd", {}, ["!cmd"]),
        ("loop", "remove loop cmd", {}, ["!cmd"]),
    ],
)
def test_remove_commands_stand_in_whatever_is_loaded(
    name: str, config: str, flags: Flags, expected: list[str]
) -> None:
    assert words(unload(name, config, **flags)) == expected


def test_dependencies_go_without_their_commands() -> None:
    state = loaded("crc fat", "fat")
    assert words(unload("fat", "remove crc cmd", state)) == ["-fat", "?crc"]


def test_a_remove_command_gets_no_options() -> None:
    (plan,) = unload("vfat", "remove vfat cmd\noptions vfat a=1")
    assert plan.steps == (CommandStep("vfat", "remove", "cmd", "", Cause.NAMED, required=True),)


def test_nothing_is_done_for_a_module_that_is_not_loaded() -> None:
    (plan,) = unload("own", "softdep own pre: nls")
    assert plan.steps == ()
    with pytest.raises(StateError) as caught:
        unload("own", first_time=True)
    assert caught.value.reason is Reason.MODULE_NOT_LOADED


def test_first_time_minds_the_named_module_alone() -> None:
    assert words(unload("vfat", "softdep vfat pre: own", first_time=True)) == ["-vfat"]


def test_a_builtin_module_cannot_go() -> None:
    with pytest.raises(StateError) as caught:
        unload("loop")
    assert caught.value.reason is Reason.MODULE_BUILTIN


def test_a_name_that_nothing_answers_to_is_an_error() -> None:
    with pytest.raises(NotFoundError):
        unload("ext4")


def test_a_blacklist_changes_nothing() -> None:
    assert words(unload("fs-vfat", "blacklist vfat", use_blacklist=True)) == ["-vfat"]


def test_the_modules_of_an_alias_go_one_after_the_other_until_one_fails() -> None:
    assert words(unload("disk")) == ["-vfat", "-msdos", "?fat", "?crc"]
    first, second = unload("x", "alias x vfat\nalias x fat\nalias x nls")
    assert words((first,)) == ["-vfat"]
    assert second.steps == ()
    assert second.failure is not None
    assert second.failure.detail == "msdos"


def test_a_hostile_configuration_ends() -> None:
    wide = "".join(
        f"remove a{n} cmd\nsoftdep a{n} pre: a{n + 1} b{n + 1}\nalias b{n} a{n}\n"
        for n in range(40)
    )
    with pytest.raises(LimitError):
        unload("a0", wide)
    deep = "".join(f"remove a{n} cmd\nsoftdep a{n} pre: a{n + 1}\n" for n in range(2000))
    with pytest.raises(LimitError):
        unload("a0", deep)


def test_an_empty_kernel_has_nothing_to_unload() -> None:
    (plan,) = plan_unload(UnloadRequest(name="vfat"), TREE, Config(), {})
    assert plan == Plan("vfat", "vfat", (), via_alias=False)


def test_what_kmod_tells_of_soft_dependencies_that_stay_is_kept_for_those_who_want_it() -> None:
    config = "softdep vfat pre: fat post: loop"
    (plan,) = unload("vfat", config)
    assert (words((plan,)), plan.passed_over) == (["-vfat"], ())
    (plan,) = unload("vfat", config, exact=True)
    assert words((plan,)) == ["-vfat"]
    assert [error.module for error in plan.passed_over] == ["fat"]
    (plan,) = unload("vfat", config, exact=True, soft_matters=True)
    assert words((plan,)) == ["-vfat"]
    assert plan.failure is not None
    assert plan.failure.reason is Reason.MODULE_IN_USE

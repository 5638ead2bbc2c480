# SPDX-License-Identifier: Apache-2.0
"""Files, groups and links of objects in /sys (fs/sysfs, drivers/base/core.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    callback,
    held,
    oops,
    paths,
    put_pointers,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import Machine, new_machine

CREATES = [
    *("sysfs_create_file_ns", "sysfs_create_bin_file", "device_create_file"),
    *("device_create_bin_file", "driver_create_file", "bus_create_file", "class_create_file_ns"),
]
REMOVES = [
    *("sysfs_remove_file_ns", "sysfs_remove_bin_file", "device_remove_file"),
    *("device_remove_bin_file", "driver_remove_file", "bus_remove_file", "class_remove_file_ns"),
]
GROUP_CREATES = ["sysfs_create_group", "devm_device_add_group"]
GROUPS_CREATES = ["sysfs_create_groups", "device_add_groups", "devm_device_add_groups"]
GROUPS_REMOVES = ["sysfs_remove_groups", "device_remove_groups"]


class Sys:
    """A machine with an object in /sys, whose address is ``kobject``."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.machine = new_machine(self.lines)
        self.kobject = run(
            self.machine, "kobject_create_and_add", put_text(self.machine, "sample"), 0
        )

    def run(self, name: str, *arguments: int) -> int:
        return run(self.machine, name, *arguments)

    def attribute(self, name: str, mode: int = 0o644) -> int:
        """Return a ``struct attribute``."""
        return put_structure(self.machine, 64, {0: put_text(self.machine, name), 8: mode})

    def group(
        self, name: str, *attributes: int, visible: int = 0, binary: tuple[int, ...] = ()
    ) -> int:
        """Return a ``struct attribute_group``."""
        machine = self.machine
        fields = {0: put_text(machine, name) if name else 0, 8: visible}
        if attributes:
            fields[24] = put_pointers(machine, *attributes)
        if binary:
            fields[32] = put_pointers(machine, *binary)
        return put_structure(machine, 40, fields)

    def files(self) -> list[str]:
        """Return what is below the object's directory."""
        return [each.removeprefix("/sys/sample/") for each in paths(self.machine.mounts.sysfs)][1:]

    def modes(self) -> dict[str, int]:
        listing = self.machine.mounts.sysfs.listing()
        return {each.path.rpartition("/")[2]: each.mode for each in listing}


@pytest.fixture
def sys() -> Sys:
    return Sys()


@pytest.mark.parametrize(("create", "remove"), list(zip(CREATES, REMOVES, strict=True)))
def test_a_file_is_there_once_until_it_is_removed(sys: Sys, create: str, remove: str) -> None:
    attribute = sys.attribute("state", 0o640)
    assert sys.run(create, sys.kobject, attribute, 0) == 0
    assert (sys.files(), sys.modes()["state"]) == (["state"], 0o640)
    assert sys.run(create, sys.kobject, attribute, 0) == -errno.EEXIST
    assert sys.lines == ["sysfs: cannot create duplicate filename '/sample/state'"]
    sys.run(remove, sys.kobject, attribute, 0)
    assert sys.files() == []
    sys.run(remove, sys.kobject, attribute, 0)
    assert sys.run(create, sys.kobject, attribute, 0) == 0


@pytest.mark.parametrize("create", CREATES)
def test_a_file_of_nothing_is_invalid(sys: Sys, create: str) -> None:
    none = 0 if create == "device_create_file" else -errno.EINVAL
    assert sys.run(create, 0, sys.attribute("state"), 0) == none
    assert sys.run(create, sys.kobject, 0, 0) == -errno.EINVAL
    assert sys.files() == []


@pytest.mark.parametrize("remove", REMOVES)
def test_nothing_is_removed_where_no_attribute_is_given(sys: Sys, remove: str) -> None:
    sys.run("sysfs_create_file_ns", sys.kobject, sys.attribute("state"), 0)
    sys.run(remove, sys.kobject, 0, 0)
    assert sys.files() == ["state"]


def test_a_name_that_is_nowhere_is_an_oops(sys: Sys) -> None:
    nameless = put_structure(sys.machine, 64, {0: 16})
    why = oops(sys.machine, "sysfs_create_file_ns", sys.kobject, nameless, 0)
    assert why.endswith("address: 0000000000000010")


def test_of_several_files_all_are_there_or_none(sys: Sys) -> None:
    first, second, third = (sys.attribute(each) for each in ("first", "second", "third"))
    assert sys.run("sysfs_create_files", sys.kobject, put_pointers(sys.machine, first, second)) == 0
    assert sys.files() == ["first", "second"]
    table = put_pointers(sys.machine, third, second)
    assert sys.run("sysfs_create_files", sys.kobject, table) == -errno.EEXIST
    assert sys.files() == ["first", "second"]
    sys.run("sysfs_remove_files", sys.kobject, put_pointers(sys.machine, first))
    assert sys.files() == ["second"]


@pytest.mark.parametrize("create", GROUP_CREATES)
def test_a_group_with_a_name_has_a_directory(sys: Sys, create: str) -> None:
    group = sys.group("power", sys.attribute("level"), binary=(sys.attribute("raw", 0o400),))
    assert sys.run(create, sys.kobject, group) == 0
    assert sys.files() == ["power/", "power/level", "power/raw"]
    assert sys.run(create, sys.kobject, group) == -errno.EEXIST
    sys.run("sysfs_remove_group", sys.kobject, group)
    assert sys.files() == []


@pytest.mark.parametrize("create", GROUP_CREATES)
def test_a_group_without_a_name_adds_all_its_files_or_none(sys: Sys, create: str) -> None:
    level, state = sys.attribute("level"), sys.attribute("state")
    sys.run("sysfs_create_file_ns", sys.kobject, state, 0)
    assert sys.run(create, sys.kobject, sys.group("", level, state)) == -errno.EEXIST
    assert sys.files() == ["state"]
    assert sys.run(create, sys.kobject, sys.group("", level)) == 0
    sys.run("sysfs_remove_group", sys.kobject, sys.group("", level))
    assert sys.files() == ["state"]


@pytest.mark.parametrize("create", [*GROUP_CREATES, "sysfs_update_group"])
def test_a_group_of_nothing_is_invalid(sys: Sys, create: str) -> None:
    assert sys.run(create, 0, sys.group("", sys.attribute("level"))) == -errno.EINVAL
    assert sys.run(create, sys.kobject, sys.group("")) == -errno.EINVAL


def test_a_group_says_which_files_are_visible_and_may_not_permit_all(sys: Sys) -> None:
    level = sys.attribute("level", 0o777)
    shown, hidden = callback(sys.machine, 0o755), callback(sys.machine, 0)
    sys.run("sysfs_create_group", sys.kobject, sys.group("one", level, visible=hidden.address))
    assert sys.files() == ["one/"]
    assert hidden.arguments == (sys.kobject, level, 0)
    sys.run("sysfs_create_group", sys.kobject, sys.group("two", level, visible=shown.address))
    assert sys.files() == ["one/", "two/", "two/level"]
    assert sys.modes()["level"] == 0o644


def test_an_update_asks_again_which_files_are_visible(sys: Sys) -> None:
    level, state = sys.attribute("level"), sys.attribute("state")
    sys.run("sysfs_create_group", sys.kobject, sys.group("power", level))
    assert sys.run("sysfs_update_group", sys.kobject, sys.group("power", level, state)) == 0
    assert sys.files() == ["power/", "power/level", "power/state"]
    hidden = sys.group("power", level, visible=callback(sys.machine, 0).address)
    assert sys.run("sysfs_update_group", sys.kobject, hidden) == 0
    assert sys.files() == ["power/", "power/state"]
    assert sys.run("sysfs_update_group", sys.kobject, sys.group("other", level)) == -errno.EINVAL


def test_a_merged_group_shares_the_directory_and_leaves_it(sys: Sys) -> None:
    level, state = sys.attribute("level"), sys.attribute("state")
    merged = sys.group("power", state)
    assert sys.run("sysfs_merge_group", sys.kobject, merged) == -errno.ENOENT
    sys.run("sysfs_create_group", sys.kobject, sys.group("power", level))
    assert sys.run("sysfs_merge_group", sys.kobject, merged) == 0
    assert sys.files() == ["power/", "power/level", "power/state"]
    assert sys.run("sysfs_merge_group", sys.kobject, merged) == -errno.EEXIST
    sys.run("sysfs_unmerge_group", sys.kobject, merged)
    assert sys.files() == ["power/", "power/level"]


@pytest.mark.parametrize("create", GROUPS_CREATES)
@pytest.mark.parametrize("remove", GROUPS_REMOVES)
def test_of_several_groups_all_are_there_or_none(sys: Sys, create: str, remove: str) -> None:
    one, two = (sys.group(each, sys.attribute("x")) for each in ("one", "two"))
    assert sys.run(create, sys.kobject, 0) == 0
    sys.run("sysfs_create_group", sys.kobject, two)
    assert sys.run(create, sys.kobject, put_pointers(sys.machine, one, two)) == -errno.EEXIST
    assert sys.files() == ["two/", "two/x"]
    sys.run("sysfs_remove_group", sys.kobject, two)
    assert sys.run(create, sys.kobject, put_pointers(sys.machine, one, two)) == 0
    assert sys.files() == ["one/", "one/x", "two/", "two/x"]
    sys.run(remove, sys.kobject, put_pointers(sys.machine, one, two))
    assert sys.files() == []


@pytest.mark.parametrize("create", ["sysfs_create_link", "sysfs_create_link_nowarn"])
def test_a_link_is_there_once_until_it_is_removed(sys: Sys, create: str) -> None:
    name = put_text(sys.machine, "to")
    assert sys.run(create, sys.kobject, sys.kobject, name) == 0
    assert (sys.files(), sys.modes()["to"]) == (["to"], 0o777)
    assert sys.run(create, sys.kobject, sys.kobject, name) == -errno.EEXIST
    assert sys.run(create, sys.kobject, sys.kobject, 0) == -errno.EINVAL
    sys.run("sysfs_remove_link", sys.kobject, name)
    assert sys.files() == []


def test_a_mount_point_is_a_directory_on_the_account_of_who_made_it(sys: Sys) -> None:
    name = put_text(sys.machine, "mnt")
    assert sys.run("sysfs_create_mount_point", sys.kobject, name) == 0
    assert sys.files() == ["mnt/"]
    assert ("mount point", "mount point 'mnt'") in held(sys.machine)
    assert sys.run("sysfs_create_mount_point", sys.kobject, name) == -errno.EEXIST
    sys.run("sysfs_remove_mount_point", sys.kobject, put_text(sys.machine, "other"))
    assert sys.files() == ["mnt/"]
    sys.run("sysfs_remove_mount_point", sys.kobject, name)
    assert sys.files() == []
    assert "mount point" not in dict(held(sys.machine))


def test_the_kernels_own_objects_have_their_directories(sys: Sys) -> None:
    memory, core = sys.machine.memory, sys.machine.kernel_symbols
    for symbol, name in (("kernel_kobj", "a"), ("fs_kobj", "b"), ("power_kobj", "c")):
        own = memory.number(core.address(symbol))
        assert run(sys.machine, "sysfs_create_mount_point", own, put_text(sys.machine, name)) == 0
    assert {"/sys/kernel/a/", "/sys/fs/b/", "/sys/power/c/"} < set(paths(sys.machine.mounts.sysfs))


@pytest.mark.parametrize(
    ("name", "result"),
    [("compat_only_sysfs_link_entry_to_kobj", 0), ("sysfs_notify", 0), ("kernfs_put", 0)],
)
def test_what_nobody_looks_at_changes_nothing(sys: Sys, name: str, result: int) -> None:
    assert sys.run(name, sys.kobject, sys.kobject, put_text(sys.machine, "x"), 0) == result
    assert sys.files() == []


def test_all_of_it_goes_with_the_module(sys: Sys) -> None:
    sys.run("sysfs_create_group", sys.kobject, sys.group("power", sys.attribute("level")))
    sys.run("sysfs_create_mount_point", sys.kobject, put_text(sys.machine, "mnt"))
    unload(sys.machine)
    assert paths(sys.machine.mounts.sysfs) == []
    assert held(sys.machine) == []


def machine_with_class() -> tuple[Machine, int]:
    machine = new_machine()
    return machine, run(machine, "__class_create", 0, put_text(machine, "shelves"), 0)


def test_a_class_has_files_of_its_own() -> None:
    machine, which = machine_with_class()
    attribute = put_structure(machine, 64, {0: put_text(machine, "version"), 8: 0o444})
    assert run(machine, "class_create_file_ns", which, attribute, 0) == 0
    assert paths(machine.mounts.sysfs) == [
        *("/sys/class/", "/sys/class/shelves/", "/sys/class/shelves/version"),
    ]
    run(machine, "class_destroy", which)
    assert paths(machine.mounts.sysfs) == ["/sys/class/"]

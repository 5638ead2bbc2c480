# SPDX-License-Identifier: Apache-2.0
"""Objects with a name, a directory and a count of references (lib/kobject.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
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

NAME, PARENT, KSET, TYPE, REFERENCES, SIZE = 0, 24, 32, 40, 56, 64
KSET_OBJECT, KSET_SIZE = 24, 128


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def kind(machine: Machine, release: int = 0, groups: int = 0) -> int:
    """Return a ``struct kobj_type``."""
    return put_structure(machine, 48, {0: release, 16: groups})


def initialized(machine: Machine, release: int = 0, groups: int = 0) -> int:
    kobject = put_structure(machine, SIZE, {})
    run(machine, "kobject_init", kobject, kind(machine, release, groups))
    return kobject


def name(machine: Machine, kobject: int) -> str:
    return machine.memory.text(machine.memory.number(kobject + NAME))


def references(machine: Machine, kobject: int) -> int:
    return machine.memory.number(kobject + REFERENCES, 4)


def test_an_object_begins_with_one_reference_and_its_type(machine: Machine) -> None:
    kobject, of_kind = put_structure(machine, SIZE, {}), kind(machine)
    run(machine, "kobject_init", kobject, of_kind)
    assert references(machine, kobject) == 1
    assert machine.memory.number(kobject + TYPE) == of_kind


def test_what_has_no_type_stays_as_it_is_and_is_logged() -> None:
    lines = list[str]()
    machine = new_machine(lines)
    kobject = put_structure(machine, SIZE, {})
    run(machine, "kobject_init", kobject, 0)
    run(machine, "kobject_init", 0, kind(machine))
    assert machine.memory.read(kobject, SIZE) == bytes(SIZE)
    assert len(lines) == 2
    assert oops(machine, "kobject_init", 8, 16).startswith(NULL_DEREFERENCE)


@pytest.mark.parametrize("function", ["kobject_set_name", "dev_set_name"])
def test_a_name_is_formatted_and_kept_in_memory_of_its_own(machine: Machine, function: str) -> None:
    kobject = initialized(machine)
    template, word = put_text(machine, "%s-%d"), put_text(machine, "part")
    assert run(machine, function, kobject, template, word, 7) == 0
    machine.memory.fill(template, 4)
    assert name(machine, kobject) == "part-7"
    assert held(machine) == [("name", "the name of 'part-7'")]
    assert run(machine, function, kobject, put_text(machine, "a/b")) == 0
    assert name(machine, kobject) == "a!b"
    assert [kind_ for kind_, _ in held(machine)] == ["name"]


def test_an_object_that_is_added_has_a_directory_with_the_files_of_its_type(
    machine: Machine,
) -> None:
    attribute = put_structure(machine, 32, {0: put_text(machine, "state"), 8: 0o644})
    group = put_structure(machine, 40, {24: put_pointers(machine, attribute)})
    above = initialized(machine)
    below = initialized(machine, groups=put_pointers(machine, group))
    assert run(machine, "kobject_add", above, 0, put_text(machine, "shelf")) == 0
    assert run(machine, "kobject_add", below, above, put_text(machine, "board%d"), 3) == 0
    assert machine.memory.number(below + PARENT) == above
    assert paths(machine.mounts.sysfs) == [
        *("/sys/shelf/", "/sys/shelf/board3/", "/sys/shelf/board3/state"),
    ]


@pytest.mark.parametrize(
    ("words", "code"), [("", -errno.EINVAL), ("taken", -errno.EEXIST), ("free", 0)]
)
def test_an_objects_name_is_not_empty_and_its_own(machine: Machine, words: str, code: int) -> None:
    run(machine, "kobject_add", initialized(machine), 0, put_text(machine, "taken"))
    kobject = initialized(machine)
    assert run(machine, "kobject_add", kobject, 0, put_text(machine, words)) == code
    again, of_kind = put_structure(machine, SIZE, {}), kind(machine)
    added = run(machine, "kobject_init_and_add", again, of_kind, 0, put_text(machine, words))
    assert added == (code or -errno.EEXIST)


def test_what_was_not_initialized_is_not_added(machine: Machine) -> None:
    raw = put_structure(machine, SIZE, {})
    assert run(machine, "kobject_add", raw, 0, put_text(machine, "raw")) == -errno.EINVAL
    assert run(machine, "kobject_add", 0, 0, put_text(machine, "raw")) == -errno.EINVAL
    typeless = run(machine, "kobject_init_and_add", raw, 0, 0, put_text(machine, "raw"))
    assert typeless == -errno.EINVAL
    assert (paths(machine.mounts.sysfs), held(machine)) == ([], [])


def test_an_object_without_a_parent_is_below_its_set(machine: Machine) -> None:
    kset = run(machine, "kset_create_and_add", put_text(machine, "slots"), 0, 0)
    kobject = put_structure(machine, SIZE, {KSET: kset})
    made = run(
        machine,
        "kobject_init_and_add",
        kobject,
        kind(machine),
        0,
        put_text(machine, "%c"),
        ord("x"),
    )
    assert made == 0
    assert paths(machine.mounts.sysfs) == ["/sys/slots/", "/sys/slots/x/"]
    assert machine.memory.number(kobject + PARENT) == kset + KSET_OBJECT


def test_an_object_of_the_kernels_own_memory_goes_with_its_last_reference(
    machine: Machine,
) -> None:
    kobject = run(machine, "kobject_create_and_add", put_text(machine, "shelf"), 0)
    assert name(machine, kobject) == "shelf"
    assert references(machine, kobject) == 1
    assert ("kobject", "kobject 'shelf'") in held(machine)
    assert run(machine, "kobject_create_and_add", put_text(machine, "shelf"), 0) == 0
    assert run(machine, "kobject_get", kobject) == kobject
    run(machine, "kobject_put", kobject)
    assert paths(machine.mounts.sysfs) == ["/sys/shelf/"]
    run(machine, "kobject_put", kobject)
    assert (paths(machine.mounts.sysfs), held(machine)) == ([], [])
    assert machine.heap.size(kobject) is None


def test_the_last_reference_calls_the_types_release_once(machine: Machine) -> None:
    release = callback(machine)
    kobject = initialized(machine, release.address)
    run(machine, "kobject_add", kobject, 0, put_text(machine, "shelf"))
    assert run(machine, "kobject_get", kobject) == kobject
    assert references(machine, kobject) == 2
    run(machine, "kobject_put", kobject)
    assert release.calls == 0
    run(machine, "kobject_put", kobject)
    assert (release.calls, release.arguments[0]) == (1, kobject)
    assert (paths(machine.mounts.sysfs), held(machine)) == ([], [])


def test_nothing_is_got_put_or_deleted_of_no_object(machine: Machine) -> None:
    assert run(machine, "kobject_get", 0) == 0
    for function in ("kobject_put", "kobject_del", "kset_unregister"):
        run(machine, function, 0)
    assert oops(machine, "kobject_put", 64).startswith(NULL_DEREFERENCE)


def test_a_deleted_object_is_not_shown_and_still_there(machine: Machine) -> None:
    kobject = run(machine, "kobject_create_and_add", put_text(machine, "shelf"), 0)
    run(machine, "kobject_del", kobject)
    assert paths(machine.mounts.sysfs) == []
    assert references(machine, kobject) == 1
    run(machine, "kobject_put", kobject)
    assert held(machine) == []


def test_a_set_is_an_object_that_others_are_below(machine: Machine) -> None:
    kset = run(machine, "kset_create_and_add", put_text(machine, "slots"), 0, 0)
    assert name(machine, kset + KSET_OBJECT) == "slots"
    assert ("kobject", "kobject 'slots'") in held(machine)
    assert run(machine, "kset_create_and_add", put_text(machine, "slots"), 0, 0) == 0
    run(machine, "kset_unregister", kset)
    assert (paths(machine.mounts.sysfs), held(machine)) == ([], [])
    assert machine.heap.size(kset) is None


def test_a_set_of_the_modules_own_needs_a_name(machine: Machine) -> None:
    kset = put_structure(machine, KSET_SIZE, {})
    assert run(machine, "kset_register", 0) == -errno.EINVAL
    assert run(machine, "kset_register", kset) == -errno.EINVAL
    run(machine, "kobject_set_name", kset + KSET_OBJECT, put_text(machine, "slots"))
    assert run(machine, "kset_register", kset) == 0
    assert ("kobject", "a kset") in held(machine)
    assert paths(machine.mounts.sysfs) == ["/sys/slots/"]
    second = put_structure(machine, KSET_SIZE, {})
    run(machine, "kobject_set_name", second + KSET_OBJECT, put_text(machine, "slots"))
    assert run(machine, "kset_register", second) == -errno.EEXIST
    run(machine, "kset_unregister", kset)
    assert paths(machine.mounts.sysfs) == []
    assert [kind_ for kind_, _ in held(machine)] == ["name"]


def test_an_object_below_another_can_be_renamed(machine: Machine) -> None:
    above = run(machine, "kobject_create_and_add", put_text(machine, "shelf"), 0)
    one, two = (
        run(machine, "kobject_create_and_add", put_text(machine, each), above)
        for each in ("one", "two")
    )
    assert run(machine, "kobject_rename", one, put_text(machine, "two")) == -errno.EEXIST
    assert run(machine, "kobject_rename", one, put_text(machine, "three")) == 0
    assert name(machine, one) == "three"
    assert paths(machine.mounts.sysfs) == ["/sys/shelf/", "/sys/shelf/three/", "/sys/shelf/two/"]
    assert run(machine, "kobject_rename", two, put_text(machine, "one")) == 0
    assert run(machine, "kobject_rename", above, put_text(machine, "x")) == -errno.EINVAL
    assert run(machine, "kobject_rename", 0, put_text(machine, "x")) == -errno.EINVAL


@pytest.mark.parametrize("function", ["kobject_uevent", "kobject_uevent_env"])
def test_an_event_is_told_to_nobody_and_succeeds(machine: Machine, function: str) -> None:
    kobject = run(machine, "kobject_create_and_add", put_text(machine, "shelf"), 0)
    assert run(machine, function, kobject, 0, 0) == 0


def test_a_module_that_goes_without_its_objects_leaves_nothing_to_be_seen(
    machine: Machine,
) -> None:
    kobject = run(machine, "kobject_create_and_add", put_text(machine, "shelf"), 0)
    of_name = machine.memory.number(kobject + NAME)
    unload(machine)
    assert (paths(machine.mounts.sysfs), held(machine)) == ([], [])
    assert machine.heap.size(of_name) is None
    assert run(machine, "kobject_create_and_add", put_text(machine, "shelf"), 0) != 0

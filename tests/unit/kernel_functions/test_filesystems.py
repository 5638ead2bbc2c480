# SPDX-License-Identifier: Apache-2.0
"""Mounts, directory entries and inodes of modules' file systems (fs/libfs.c, dcache.c, inode.c)."""

import errno
from dataclasses import replace

import pytest

from kmodd.kernel.emulated.abi.structures import DENTRY_FLAGS
from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    callback,
    error_pointer,
    held,
    laid_out,
    oops,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, Machine, new_machine

MOUNT, COUNT = ROOM, ROOM + 8
ENTRY_PARENT, ENTRY_LENGTH, ENTRY_NAME, ENTRY_INODE, ENTRY_COUNT = 24, 36, 40, 48, 92
ENTRY_OPERATIONS, ENTRY_SUPER = 96, 104
INODE_SUPER, INODE_MAPPING, INODE_COUNT, INODE_SIZE = 40, 48, 344, 632
SUPER_ROOT, SUPER_OPERATIONS, SUPER_SIZE = 104, 1064, 1472
CONTEXT_TYPE, CONTEXT_ROOT = 40, 64
LOCK_OF_ENTRY = 88


@pytest.fixture
def machine() -> Machine:
    return new_machine()


def file_system(machine: Machine, start: int = 0, owner: int = 0) -> int:
    """Return a ``struct file_system_type``."""
    return put_structure(machine, 72, {0: put_text(machine, "samplefs"), 16: start, 48: owner})


def super_block(machine: Machine, operations: int = 0) -> int:
    return put_structure(machine, SUPER_SIZE, {SUPER_OPERATIONS: operations})


def root_of(machine: Machine, above: int) -> int:
    return run(machine, "d_make_root", run(machine, "new_inode", above))


def entry_of(machine: Machine, parent: int, name: str = "file") -> int:
    return run(machine, "d_alloc_name", parent, put_text(machine, name))


def count(machine: Machine, entry: int) -> int:
    return machine.memory.number(entry + ENTRY_COUNT, 4)


def inodes(machine: Machine, inode: int) -> int:
    return machine.memory.number(inode + INODE_COUNT, 4)


def test_a_mount_is_there_until_it_is_unmounted(machine: Machine) -> None:
    mount = run(machine, "kern_mount", file_system(machine))
    assert [kind for kind, _ in held(machine)] == ["mount"]
    root, above = (machine.memory.number(mount + at) for at in (0, 8))
    assert machine.memory.number(root + ENTRY_SUPER) == above
    assert machine.memory.number(root + ENTRY_PARENT) == root
    inode = machine.memory.number(root + ENTRY_INODE)
    run(machine, "mntput", mount)
    run(machine, "kern_unmount", mount)
    assert held(machine) == []
    assert [machine.heap.size(each) for each in (mount, root, inode)] == [None] * 3
    run(machine, "kern_unmount", mount)
    run(machine, "kern_unmount", error_pointer(errno.ENOMEM))


def test_a_file_system_that_cannot_be_mounted_says_why(machine: Machine) -> None:
    kind = file_system(machine, callback(machine, -errno.ENOMEM).address)
    assert run(machine, "kern_mount", kind) == error_pointer(errno.ENOMEM)
    assert run(machine, "simple_pin_fs", kind, MOUNT, COUNT) == -errno.ENOMEM
    assert machine.memory.number(MOUNT) == machine.memory.number(COUNT, 4) == 0
    assert held(machine) == []
    assert oops(machine, "kern_mount", 0).startswith(NULL_DEREFERENCE)


def test_a_pinned_file_system_is_mounted_once_and_goes_with_the_last(machine: Machine) -> None:
    kind = file_system(machine)
    for number in (1, 2):
        assert run(machine, "simple_pin_fs", kind, MOUNT, COUNT) == 0
        assert machine.memory.number(COUNT, 4) == number
    mount = machine.memory.number(MOUNT)
    assert machine.heap.size(mount) is not None
    run(machine, "simple_release_fs", MOUNT, COUNT)
    assert machine.memory.number(MOUNT) == mount
    run(machine, "simple_release_fs", MOUNT, COUNT)
    assert machine.memory.number(MOUNT) == machine.memory.number(COUNT, 4) == 0
    assert machine.heap.size(mount) is None


@pytest.mark.parametrize("is_there", [True, False])
def test_a_pinned_file_system_keeps_its_module(machine: Machine, is_there: bool) -> None:
    calls = list[str]()

    def hold(name: str) -> bool:
        calls.append(f"hold {name}")
        return is_there

    machine.services = replace(
        machine.services, hold=hold, release=lambda name: calls.append(f"release {name}")
    )
    owner = machine.heap.allocate(256)
    machine.memory.write(owner + 24, b"samplefs\0")
    kind = file_system(machine, owner=owner)
    code = run(machine, "simple_pin_fs", kind, MOUNT, COUNT)
    assert code == (0 if is_there else -errno.ENODEV)
    if is_there:
        run(machine, "simple_release_fs", MOUNT, COUNT)
    assert calls == ["hold samplefs", "release samplefs"][: 1 + is_there]


@pytest.mark.parametrize("function", ["get_tree_single", "get_tree_nodev"])
@pytest.mark.parametrize("code", [0, -errno.EINVAL])
def test_a_super_block_is_filled_by_the_file_system(
    machine: Machine, function: str, code: int
) -> None:
    kind, fill = file_system(machine), callback(machine, code)
    context = put_structure(machine, 152, {CONTEXT_TYPE: kind})
    assert run(machine, function, context, fill.address) == code
    above, given, _ = fill.arguments
    assert (fill.calls, given) == (1, context)
    assert machine.memory.number(above + 40) == kind
    assert machine.memory.number(context + CONTEXT_ROOT) == 0


def test_a_pseudo_file_system_has_a_context(machine: Machine) -> None:
    context = run(machine, "init_pseudo", ROOM, 0x1234)
    assert machine.heap.size(context) is not None


def test_there_is_no_file_to_be_opened(machine: Machine) -> None:
    opened = run(machine, "filp_open", put_text(machine, "/etc/passwd"), 0, 0)
    assert opened == error_pointer(errno.ENOENT)


def test_a_root_has_its_inode_and_is_its_own_parent(machine: Machine) -> None:
    above = super_block(machine)
    inode = run(machine, "new_inode", above)
    root = run(machine, "d_make_root", inode)
    words = [machine.memory.number(root + at) for at in (ENTRY_PARENT, ENTRY_INODE, ENTRY_SUPER)]
    assert words == [root, inode, above]
    assert count(machine, root) == 1
    assert run(machine, "d_make_root", 0) == 0


def test_an_entry_has_a_name_and_a_reference_to_its_parent(machine: Machine) -> None:
    root = root_of(machine, super_block(machine))
    entry = entry_of(machine, root, "some file")
    assert machine.memory.text(machine.memory.number(entry + ENTRY_NAME)) == "some file"
    assert machine.memory.number(entry + ENTRY_LENGTH, 4) == 9
    assert machine.memory.number(entry + ENTRY_PARENT) == root
    assert machine.memory.number(entry + ENTRY_INODE) == 0
    assert (count(machine, root), count(machine, entry)) == (2, 1)
    run(machine, "dput", entry)
    assert count(machine, root) == 1
    assert machine.heap.size(entry) is None
    assert oops(machine, "d_alloc_name", root, 8).startswith(NULL_DEREFERENCE)


def test_an_entry_goes_with_its_last_reference(machine: Machine) -> None:
    release, last = callback(machine), callback(machine)
    operations = put_structure(machine, 128, {48: release.address, 64: last.address})
    above = super_block(machine, operations)
    root = root_of(machine, above)
    entry, inode = entry_of(machine, root), run(machine, "new_inode", above)
    run(machine, "d_add", entry, inode)
    run(machine, "lockref_get", entry + LOCK_OF_ENTRY)
    assert count(machine, entry) == 2
    run(machine, "dput", entry)
    assert (release.calls, last.calls) == (0, 0)
    run(machine, "dput", entry)
    assert (release.calls, release.arguments[0]) == (1, entry)
    assert (last.calls, last.arguments[:2]) == (1, (entry, inode))
    assert inodes(machine, inode) == 1
    run(machine, "dput", entry)
    run(machine, "dput", 0)
    assert release.calls == 1
    assert count(machine, root) == 1


@pytest.mark.parametrize("function", ["simple_unlink", "simple_rmdir"])
def test_what_is_unlinked_is_put(machine: Machine, function: str) -> None:
    root = root_of(machine, super_block(machine))
    entry = entry_of(machine, root)
    assert run(machine, function, 0, entry) == 0
    assert machine.heap.size(entry) is None


def test_a_deleted_entry_that_nobody_else_has_loses_its_inode(machine: Machine) -> None:
    above = super_block(machine)
    entry, inode = entry_of(machine, root_of(machine, above)), run(machine, "new_inode", above)
    run(machine, "d_instantiate", entry, inode)
    run(machine, "lockref_get", entry + LOCK_OF_ENTRY)
    run(machine, "d_delete", entry)
    assert machine.memory.number(entry + ENTRY_INODE) == inode
    run(machine, "dput", entry)
    run(machine, "d_delete", entry)
    assert machine.memory.number(entry + ENTRY_INODE) == 0
    assert machine.heap.size(inode) is None


def test_an_entry_that_stays_has_its_inode_and_one_reference_more(machine: Machine) -> None:
    above = super_block(machine)
    entry, inode = entry_of(machine, root_of(machine, above)), run(machine, "new_inode", above)
    before = count(machine, entry)
    assert run(machine, "d_make_persistent", entry, inode) == entry
    assert machine.memory.number(entry + ENTRY_INODE) == inode
    assert count(machine, entry) == before + 1


def test_entries_of_a_super_block_have_its_operations(machine: Machine) -> None:
    above, operations = super_block(machine), put_structure(machine, 128, {})
    run(machine, "set_default_d_op", above, operations)
    entry = entry_of(machine, root_of(machine, above))
    assert machine.memory.number(entry + ENTRY_OPERATIONS) == operations


@pytest.mark.parametrize("function", ["d_instantiate", "d_add"])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [(0o040755, 0x200000), (0o100644, 0x400000), (0o120777, 0x600000), (0o020600, 0x500000)],
)
def test_an_entry_knows_the_kind_of_its_inode(
    machine: Machine, function: str, mode: int, kind: int
) -> None:
    above = super_block(machine)
    entry, inode = entry_of(machine, root_of(machine, above)), run(machine, "new_inode", above)
    machine.memory.put(inode, mode, 2)
    machine.memory.put(entry, 0x700008, 4)
    run(machine, function, entry, 0)
    assert machine.memory.number(entry + ENTRY_INODE) == 0
    run(machine, function, entry, inode)
    assert machine.memory.number(entry + ENTRY_INODE) == inode
    assert machine.memory.number(entry, 4) == kind | 8


def test_an_entry_says_the_kind_of_its_inode_as_the_kernel_has_it(machine: Machine) -> None:
    above = super_block(machine)
    entry, inode = entry_of(machine, root_of(machine, above)), run(machine, "new_inode", above)
    machine.memory.put(inode, 0o040755, 2)
    with laid_out(DENTRY_FLAGS, kinds=0x380000, directory=0x100000):
        run(machine, "d_add", entry, inode)
    assert machine.memory.number(entry, 4) & 0x380000 == 0x100000


@pytest.mark.parametrize("hold", ["igrab", "ihold"])
def test_an_inode_goes_with_its_last_reference(machine: Machine, hold: str) -> None:
    above = super_block(machine)
    inode = run(machine, "new_inode", above)
    assert machine.heap.size(inode) == INODE_SIZE
    assert (machine.memory.number(inode + INODE_SUPER), inodes(machine, inode)) == (above, 1)
    mapping = machine.memory.number(inode + INODE_MAPPING)
    assert machine.memory.number(mapping) == inode
    held_again = run(machine, hold, inode)
    assert held_again == (inode if hold == "igrab" else 0)
    run(machine, "iput", inode)
    assert inodes(machine, inode) == 1
    run(machine, "iput", inode)
    assert machine.heap.size(inode) is None
    run(machine, "iput", 0)


def test_an_inode_of_no_file_is_on_the_account_of_who_made_it(machine: Machine) -> None:
    inode = run(machine, "alloc_anon_inode", super_block(machine))
    assert [kind for kind, _ in held(machine)] == ["inode"]
    run(machine, "iput", inode)
    assert held(machine) == []


def test_every_inode_number_is_new_and_none_is_0(machine: Machine) -> None:
    numbers = [run(machine, "get_next_ino") for _ in range(5)]
    assert len({*numbers, 0}) == 6


@pytest.mark.parametrize(
    ("function", "result"),
    [
        ("always_delete_dentry", 1),
        ("simple_inode_init_ts", 0),
        ("inode_set_ctime_current", 0),
        *((each, 0) for each in ("d_drop", "__d_drop", "d_rehash")),
        *((each, 0) for each in ("inc_nlink", "drop_nlink", "clear_nlink", "mntput")),
    ],
)
def test_what_nobody_looks_up_is_left_as_it_is(
    machine: Machine, function: str, result: int
) -> None:
    root = root_of(machine, super_block(machine))
    before = machine.memory.read(root, 192)
    assert run(machine, function, root) == result
    assert machine.memory.read(root, 192) == before


def test_a_module_that_goes_without_its_mount_has_none_on_its_account(machine: Machine) -> None:
    mount = run(machine, "kern_mount", file_system(machine))
    run(machine, "alloc_anon_inode", super_block(machine))
    unload(machine)
    assert held(machine) == []
    run(machine, "kern_unmount", mount)
    assert held(machine) == []

# SPDX-License-Identifier: Apache-2.0
"""Mounts, directory entries and inodes of the file systems that modules make (fs/).

An entry has a name, an inode and a count of references, and goes with the last of them; nobody
looks one up.
"""

import errno
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ONE,
    RETURN_ZERO,
    function,
    machine_code,
)
from kmodd.kernel.emulated.abi.structures import (
    ADDRESS_SPACE,
    CONTEXT_OPERATIONS,
    DENTRY,
    DENTRY_FLAGS,
    DENTRY_OPERATIONS,
    FILE_SYSTEM,
    FILE_SYSTEM_CONTEXT,
    INODE,
    LIST_HEAD,
    LOCKED_COUNT,
    MODULE,
    MOUNT,
    SUPER_BLOCK,
)
from kmodd.kernel.emulated.machine.machine import Machine

_DIRECTORY, _REGULAR, _LINK = 0o040000, 0o100000, 0o120000
"""What an entry's flags say of its inode's type (DCACHE_ENTRY_TYPE)."""


@dataclass(slots=True)
class FileSystems:
    """What there is of the file systems that modules make.

    ``entries`` are the directory entries, ``mounts`` the file systems of the pinned mounts.
    ``pseudo_context`` is the context of all that have nothing but a root, 0 before the first.
    """

    entries: set[int] = field(default_factory=set)
    mounts: dict[int, int] = field(default_factory=dict)
    pseudo_context: int = 0
    last_inode_number: int = 0


def _make_inode(machine: Machine, above: int) -> int:
    inode = machine.heap.allocate(INODE.size)
    pages = inode + INODE.pages
    machine.memory.put(inode + INODE.super_block, above)
    machine.memory.put(inode + INODE.count, 1, 4)
    machine.memory.put(inode + INODE.mapping, pages)
    machine.memory.put(pages + ADDRESS_SPACE.host, inode)
    return inode


def _make_entry(machine: Machine, parent: int, above: int, name: bytes = b"/") -> int:
    """Return an entry with one reference, and one to its parent; the root has an inode, too."""
    memory = machine.memory
    entry = machine.heap.allocate(DENTRY.size + len(name) + 1)
    text = entry + DENTRY.size
    memory.write(text, name + b"\0")
    memory.put(entry + DENTRY.name_length, len(name), 4)
    memory.put(entry + DENTRY.name, text)
    memory.put(entry + DENTRY.parent, parent or entry)
    memory.put(entry + DENTRY.super_block, above)
    memory.put(entry + DENTRY.count, 1, 4)
    memory.put(entry + DENTRY.operations, memory.number(above + SUPER_BLOCK.dentry_operations))
    machine.state(FileSystems).entries.add(entry)
    if parent:
        _count(machine, parent, 1)
    else:
        memory.put(entry + DENTRY.inode, _make_inode(machine, above))
    if DENTRY.has("siblings", "children"):  # since 6.8 they are lists without a head's other end
        for head in (entry + DENTRY.siblings, entry + DENTRY.children):
            memory.put(head + LIST_HEAD.next, head)
            memory.put(head + LIST_HEAD.previous, head)
    return entry


def _count(machine: Machine, entry: int, change: int) -> int:
    """Change an entry's count of references by ``change`` and return it."""
    left = machine.memory.number(entry + DENTRY.count, 4, signed=True) + change
    machine.memory.put(entry + DENTRY.count, left, 4)
    return left


def _make_mount(machine: Machine, kind: int) -> int:
    """Return a ``struct vfsmount`` of a file system, or an errno below zero.

    The file system's own code fills the super block (init_fs_context, get_tree).
    """
    memory = machine.memory
    mount, context = machine.heap.allocate(64), machine.heap.allocate(FILE_SYSTEM_CONTEXT.size)
    memory.put(context + FILE_SYSTEM_CONTEXT.type, kind)
    start = memory.number(kind + FILE_SYSTEM.init_context)
    code = machine.call(start, context) if start else 0
    operations = memory.number(context + FILE_SYSTEM_CONTEXT.operations)
    get_tree = memory.number(operations + CONTEXT_OPERATIONS.get_tree) if operations else 0
    if not code and get_tree:
        code = machine.call(get_tree, context)
    if code < 0:
        return code
    root = memory.number(context + FILE_SYSTEM_CONTEXT.root)
    if not root:
        above = machine.heap.allocate(SUPER_BLOCK.size)
        memory.put(above + SUPER_BLOCK.type, kind)
        root = _make_entry(machine, 0, above)
    memory.put(mount + MOUNT.root, root)
    memory.put(mount + MOUNT.super_block, memory.number(root + DENTRY.super_block))
    machine.heap.free(context)
    return mount


@function(
    "int get_tree_single(struct fs_context *fc, int (*fill_super)(struct super_block *sb, struct fs_context *fc))",
    "int get_tree_nodev(struct fs_context *fc, int (*fill_super)(struct super_block *sb, struct fs_context *fc))",
)
def get_tree_single(machine: Machine, context: int, fill: int) -> int:
    memory = machine.memory
    above = machine.heap.allocate(SUPER_BLOCK.size)
    memory.put(above + SUPER_BLOCK.type, memory.number(context + FILE_SYSTEM_CONTEXT.type))
    code = machine.call(fill, above, context)
    memory.put(context + FILE_SYSTEM_CONTEXT.root, memory.number(above + SUPER_BLOCK.root))
    return code


@function("struct pseudo_fs_context *init_pseudo(struct fs_context *fc, unsigned long magic)")
def init_pseudo(machine: Machine, _context: int, _magic: int) -> int:
    """The file system has nothing but a root; what the context says more goes with it."""
    known = machine.state(FileSystems)
    if not known.pseudo_context:
        known.pseudo_context = machine.heap.allocate(128)
    return known.pseudo_context


@function("struct file *filp_open(const char *filename, int flags, umode_t mode)")
def filp_open(_machine: Machine, _name: int, _flags: int, _mode: int) -> int:
    """There is no file that could be opened."""
    return -errno.ENOENT


@function("struct dentry *d_make_root(struct inode *root_inode)")
def d_make_root(machine: Machine, inode: int) -> int:
    if not inode:
        return 0
    root = _make_entry(machine, 0, machine.memory.number(inode + INODE.super_block))
    machine.memory.put(root + DENTRY.inode, inode)
    return root


def _owner(machine: Machine, kind: int) -> str:
    """Return the module that a file system is of."""
    owner = machine.memory.number(kind + FILE_SYSTEM.owner)
    return machine.memory.text(owner + MODULE.name, MODULE.name_size) if owner else ""


@function(
    "int simple_pin_fs(struct file_system_type *type, struct vfsmount **mount, int *count)",
)
def simple_pin_fs(machine: Machine, kind: int, mount: int, count: int) -> int:
    """What is mounted keeps the module of its file system."""
    memory = machine.memory
    if not memory.number(mount):
        owner = _owner(machine, kind)
        if owner and not machine.services.hold(owner):
            return -errno.ENODEV
        made = _make_mount(machine, kind)
        if made < 0:
            machine.services.release(owner)
            return made
        memory.put(mount, made)
        machine.state(FileSystems).mounts[made] = kind
    memory.put(count, memory.number(count, 4) + 1, 4)
    return 0


@function("void simple_release_fs(struct vfsmount **mount, int *count)")
def simple_release_fs(machine: Machine, mount: int, count: int) -> None:
    memory = machine.memory
    left = memory.number(count, 4) - 1
    memory.put(count, left, 4)
    if left:
        return
    made = memory.number(mount)
    memory.put(mount, 0)
    kind = machine.state(FileSystems).mounts.pop(made, 0)
    if kind:
        _unmount(machine, made)
        owner = _owner(machine, kind)
        if owner:
            machine.services.release(owner)


def _unmount(machine: Machine, mount: int) -> None:
    """Let go of a mount's root, and of the mount."""
    root = machine.memory.number(mount + MOUNT.root)
    if root in machine.state(FileSystems).entries:
        dput(machine, root)
    machine.heap.free(mount)


@function("struct vfsmount *kern_mount(struct file_system_type *type)")
def kern_mount(machine: Machine, kind: int) -> int:
    mount = _make_mount(machine, kind)
    if mount < 0:
        return mount
    machine.ledger.take("mount", mount)
    return mount


@function("void kern_unmount(struct vfsmount *mnt)")
def kern_unmount(machine: Machine, mount: int) -> None:
    if machine.ledger.give("mount", mount) is not None:
        _unmount(machine, mount)


@function("struct dentry *d_alloc_name(struct dentry *parent, const char *name)")
def d_alloc_name(machine: Machine, parent: int, name: int) -> int:
    above = machine.memory.number(parent + DENTRY.super_block)
    return _make_entry(machine, parent, above, machine.memory.string(name, 255))


@function("void lockref_get(struct lockref *lockref)")
def lockref_get(machine: Machine, lock: int) -> None:
    at = lock + LOCKED_COUNT.count
    machine.memory.put(at, machine.memory.number(at, 4) + 1, 4)


@function("void dput(struct dentry *dentry)")
def dput(machine: Machine, entry: int) -> None:
    known = machine.state(FileSystems).entries
    if not entry or entry not in known or _count(machine, entry, -1) > 0:
        return
    memory = machine.memory
    known.remove(entry)
    operations = memory.number(entry + DENTRY.operations)
    _let_inode_go(machine, entry)
    release = memory.number(operations + DENTRY_OPERATIONS.release) if operations else 0
    if release:
        machine.invoke(release, entry)
    parent = memory.number(entry + DENTRY.parent)
    machine.heap.free(entry)
    if parent != entry:
        dput(machine, parent)


def _let_inode_go(machine: Machine, entry: int) -> None:
    memory = machine.memory
    inode = memory.number(entry + DENTRY.inode)
    if not inode:
        return
    memory.put(entry + DENTRY.inode, 0)
    operations = memory.number(entry + DENTRY.operations)
    last = memory.number(operations + DENTRY_OPERATIONS.iput) if operations else 0
    if last:
        machine.invoke(last, entry, inode)
    else:
        iput(machine, inode)


@function(
    "int simple_rmdir(struct inode *dir, struct dentry *dentry)",
    "int simple_unlink(struct inode *dir, struct dentry *dentry)",
)
def simple_unlink(machine: Machine, _directory: int, entry: int) -> int:
    dput(machine, entry)
    return 0


@function("void d_delete(struct dentry *dentry)")
def d_delete(machine: Machine, entry: int) -> None:
    """An entry that nobody else has loses its inode."""
    if machine.memory.number(entry + DENTRY.count, 4) == 1:
        _let_inode_go(machine, entry)


@function("struct inode *igrab(struct inode *inode)", "void ihold(struct inode *inode)")
def igrab(machine: Machine, inode: int) -> int:
    count = machine.memory.number(inode + INODE.count, 4) + 1
    machine.memory.put(inode + INODE.count, count, 4)
    return inode


@function("unsigned int get_next_ino(void)")
def get_next_ino(machine: Machine) -> int:
    known = machine.state(FileSystems)
    known.last_inode_number += 1
    return known.last_inode_number


@function("struct inode *new_inode(struct super_block *sb)")
def new_inode(machine: Machine, above: int) -> int:
    return _make_inode(machine, above)


@function("struct inode *alloc_anon_inode(struct super_block *s)")
def alloc_anon_inode(machine: Machine, above: int) -> int:
    inode = _make_inode(machine, above)
    machine.ledger.take("inode", inode)
    return inode


@function("void iput(struct inode *inode)")
def iput(machine: Machine, inode: int) -> None:
    if not inode:
        return
    left = machine.memory.number(inode + INODE.count, 4) - 1
    machine.memory.put(inode + INODE.count, max(left, 0), 4)
    if left <= 0:
        machine.ledger.give("inode", inode)
        machine.heap.free(inode)


@function(
    "void d_instantiate(struct dentry *entry, struct inode *inode)",
    "void d_add(struct dentry *entry, struct inode *inode)",
)
def d_instantiate(machine: Machine, entry: int, inode: int) -> None:
    if not inode:
        return
    memory = machine.memory
    memory.put(entry + DENTRY.inode, inode)
    flags = memory.number(entry + DENTRY.flags, 4) & ~DENTRY_FLAGS.kinds
    flags |= _kind(memory.number(inode + INODE.mode, 2) & 0o170000)
    memory.put(entry + DENTRY.flags, flags, 4)


def _kind(file_type: int) -> int:
    """Return what an entry says that it is, for the type of its inode."""
    kinds = {
        _DIRECTORY: DENTRY_FLAGS.directory,
        _REGULAR: DENTRY_FLAGS.regular,
        _LINK: DENTRY_FLAGS.symbolic_link,
    }
    return kinds.get(file_type, DENTRY_FLAGS.special)


@function("struct dentry *d_make_persistent(struct dentry *dentry, struct inode *inode)")
def d_make_persistent(machine: Machine, entry: int, inode: int) -> int:
    """Instantiate an entry that stays; it has one reference more."""
    d_instantiate(machine, entry, inode)
    count = entry + DENTRY.count
    machine.memory.put(count, machine.memory.number(count, 4) + 1, 4)
    return entry


@function("void set_default_d_op(struct super_block *s, const struct dentry_operations *ops)")
def set_default_d_op(machine: Machine, above: int, operations: int) -> None:
    machine.memory.put(above + SUPER_BLOCK.dentry_operations, operations)


machine_code(
    RETURN_ZERO,
    """
    struct timespec64 simple_inode_init_ts(struct inode *inode)
    struct timespec64 inode_set_ctime_current(struct inode *inode)
    """,
)
machine_code(RETURN_ONE, "int always_delete_dentry(const struct dentry *dentry)")
machine_code(
    RETURN,
    """
    void d_drop(struct dentry *dentry)
    void __d_drop(struct dentry *dentry)
    void d_rehash(struct dentry *entry)
    void inc_nlink(struct inode *inode)
    void drop_nlink(struct inode *inode)
    void clear_nlink(struct inode *inode)
    void mntput(struct vfsmount *mnt)
    """,
)

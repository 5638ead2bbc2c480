# SPDX-License-Identifier: Apache-2.0
"""What modules show in /proc and debugfs: the names, and what is behind each."""

import errno

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ONE,
    alike,
    function,
    machine_code,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import NET
from kmodd.kernel.emulated.functions.debug_files import (
    BlobContent,
    BooleanContent,
    DebugContent,
    NumberContent,
)
from kmodd.kernel.emulated.functions.open_files import Content, take_away
from kmodd.kernel.emulated.functions.proc_files import (
    ProcContent,
    SequenceContent,
    SingleContent,
)
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.pseudo_filesystem import PseudoFilesystem
from kmodd.kernel.emulated.reporting.log import Level

_ENTRY_SIZE, _NAME_MAX, _PATH_MAX = 256, 255, 4096
_CHANNEL, _CHANNEL_SIZE, _UINT_MAX = "relay channel", 1024, (1 << 32) - 1


_OWN = frozenset(
    {
        *("acpi", "bus", "bus/input", "bus/pci", "driver", "fs", "irq", "net", "sys", "sysvipc"),
        *("tty", "tty/driver", "tty/ldisc"),
    }
)
"""The directories of /proc that are there without any module."""

_FIRST_ERROR = (1 << 64) - 4095
"""From here on a pointer is an error (IS_ERR)."""


def _create(
    machine: Machine,
    tree: PseudoFilesystem,
    name: str,
    parent: int,
    mode: int,
    *,
    directory: bool,
    content: Content | None = None,
) -> int:
    """Make an entry of a tree, on the caller's account; its address stands for it."""
    entry = machine.heap.allocate(_ENTRY_SIZE)
    path = tree.add(
        entry,
        parent,
        name,
        is_directory=directory,
        mode=mode & 0o777,
        module=machine.taker,
        content=content,
    )
    machine.ledger.take(tree.kind, entry, f"{path}")
    return entry


def _remove(machine: Machine, tree: PseudoFilesystem, entry: int) -> None:
    """Remove an entry with all that is below it."""
    gone = tree.remove_listed(entry)
    for listed in gone:
        take_away(machine, listed.content, errno.EIO, ends=tree is machine.mounts.proc)
    for each in (listed.entry for listed in gone):
        machine.ledger.give(tree.kind, each)
        machine.heap.free(each)


def _forget(machine: Machine, tree: PseudoFilesystem, entry: int) -> None:
    for listed in tree.remove_listed(entry):
        take_away(machine, listed.content, errno.EIO)


@reclaims("proc entry")
def forget_proc(machine: Machine, entry: int) -> None:
    """Remove an entry of a module that is gone."""
    _forget(machine, machine.mounts.proc, entry)
    machine.heap.free(entry)


@reclaims("debugfs entry")
def forget_debugfs(machine: Machine, entry: int) -> None:
    """Remove an entry of a module that is gone."""
    _forget(machine, machine.mounts.debugfs, entry)
    machine.heap.free(entry)


def _named(machine: Machine, name: int) -> str:
    return machine.memory.text(name, _PATH_MAX)


def _create_proc(
    machine: Machine,
    name: int,
    parent: int,
    mode: int,
    content: Content | None = None,
    *,
    directory: bool = False,
) -> int:
    """Make an entry of /proc; 0 where its name cannot be, is there or leads to nowhere."""
    proc, text = machine.mounts.proc, _named(machine, name)
    _show_net(machine, parent)
    through, _, last = text.rpartition("/")
    above = parent if parent in proc else 0
    found, place = (proc.find(above, through) if through else above), last
    if found is None and not above and through in _OWN:
        found, place = 0, text
    why = ""
    if found is None:
        why = f"there is no directory for '{text}'"
    elif not last or last in (".", "..") or len(last) > _NAME_MAX or _is_process(text, parent):
        why = f"'{text}' can be no name"
    elif proc.child(found, place) is not None:
        why = f"proc_dir_entry '{text}' already registered"
    if why:
        machine.log.write(Level.WARNING, f"proc: {why}\n")
        return 0
    return _create(machine, proc, text, parent, mode, directory=directory, content=content)


def _show_net(machine: Machine, parent: int) -> None:
    """Have the directories of the name space (proc_net, proc_net_stat) where one of them is used."""
    space, number = machine.kernel_symbols.address("init_net"), machine.memory.number
    net, statistics = number(space + NET.proc), number(space + NET.proc_stat)
    if parent not in machine.mounts.proc and parent in (net, statistics):
        if net not in machine.mounts.proc:
            machine.mounts.proc.add(net, 0, "net", is_directory=True, mode=0o555)
        if parent == statistics:
            machine.mounts.proc.add(statistics, net, "stat", is_directory=True, mode=0o555)


def _is_process(name: str, parent: int) -> bool:
    """Tell whether a name in /proc is one that a process has."""
    return not parent and name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")


@function("struct proc_dir_entry *proc_mkdir(const char *name, struct proc_dir_entry *parent)")
def proc_mkdir(machine: Machine, name: int, parent: int) -> int:
    return _create_proc(machine, name, parent, 0o555, directory=True)


@function(
    "struct proc_dir_entry *proc_mkdir_data(const char *name, umode_t mode, struct proc_dir_entry"
    " *parent, void *data)",
    "struct proc_dir_entry *_proc_mkdir(const char *name, umode_t mode, struct proc_dir_entry"
    " *parent, void *data, bool force_lookup)",
)
def proc_mkdir_data(machine: Machine, name: int, mode: int, parent: int, *_rest: int) -> int:
    return _create_proc(machine, name, parent, mode or 0o555, directory=True)


@function(
    "struct proc_dir_entry *proc_mkdir_mode(const char *name, umode_t mode, struct proc_dir_entry *parent)"
)
def proc_mkdir_mode(machine: Machine, name: int, mode: int, parent: int) -> int:
    return _create_proc(machine, name, parent, mode or 0o555, directory=True)


def _proc_file(machine: Machine, name: int, mode: int, parent: int, content: Content | None) -> int:
    """A file without any permissions can be read by all (proc_create_reg)."""
    return _create_proc(machine, name, parent, mode & 0o777 or 0o444, content)


@function(
    "struct proc_dir_entry *proc_create(const char *name, umode_t mode, struct proc_dir_entry"
    " *parent, const struct proc_ops *proc_ops)",
    "struct proc_dir_entry *proc_create_data(const char *name, umode_t mode, struct proc_dir_entry"
    " *parent, const struct proc_ops *proc_ops, void *data)",
)
def proc_create(
    machine: Machine, name: int, mode: int, parent: int, operations: int, data: int = 0
) -> int:
    return _proc_file(machine, name, mode, parent, ProcContent(operations, data))


@function(
    "struct proc_dir_entry *proc_create_seq_private(const char *name, umode_t mode, struct"
    " proc_dir_entry *parent, const struct seq_operations *ops, unsigned int state_size, void"
    " *data)"
)
def proc_create_seq(
    machine: Machine, name: int, mode: int, parent: int, operations: int, size: int, data: int
) -> int:
    return _proc_file(machine, name, mode, parent, SequenceContent(operations, size, data))


@function(
    "struct proc_dir_entry *proc_create_single_data(const char *name, umode_t mode, struct"
    " proc_dir_entry *parent, void *show, void *data)"
)
def proc_create_single(
    machine: Machine, name: int, mode: int, parent: int, show: int, data: int
) -> int:
    return _proc_file(machine, name, mode, parent, SingleContent(show, data))


def _net_file(machine: Machine, name: int, mode: int, parent: int, *_rest: int) -> int:
    """What is shown of a network name space is only listed."""
    return _proc_file(machine, name, mode, parent, None)


alike(
    _net_file,
    """
    struct proc_dir_entry *proc_create_net_data(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct seq_operations *ops, unsigned int state_size, void *data)
    struct proc_dir_entry *proc_create_net_data_write(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct seq_operations *ops, proc_write_t write, unsigned int state_size, void *data)
    struct proc_dir_entry *proc_create_net_single(const char *name, umode_t mode, struct proc_dir_entry *parent, void *show, void *data)
    struct proc_dir_entry *proc_create_net_single_write(const char *name, umode_t mode, struct proc_dir_entry *parent, void *show, proc_write_t write, void *data)
    """,
)


@function(
    "void remove_proc_entry(const char *name, struct proc_dir_entry *parent)",
    "int remove_proc_subtree(const char *name, struct proc_dir_entry *parent)",
)
def remove_proc_entry(machine: Machine, name: int, parent: int) -> int:
    entry = machine.mounts.proc.find(parent, _named(machine, name))
    if entry is None:
        return -errno.ENOENT
    _remove(machine, machine.mounts.proc, entry)
    return 0


@function("void proc_remove(struct proc_dir_entry *de)")
def proc_remove(machine: Machine, entry: int) -> None:
    _remove(machine, machine.mounts.proc, entry)


@function(
    "struct proc_dir_entry *proc_symlink(const char *name, struct proc_dir_entry *parent, const char *dest)"
)
def proc_symlink(machine: Machine, name: int, parent: int, _target: int) -> int:
    return _create_proc(machine, name, parent, 0o777)


def _create_debug(
    machine: Machine,
    name: int,
    parent: int,
    mode: int,
    content: Content | None = None,
    *,
    directory: bool = False,
) -> int:
    """Make an entry of debugfs; an error below an error is that error."""
    if parent >= _FIRST_ERROR:
        return parent
    tree, text = machine.mounts.debugfs, _named(machine, name)
    if text in ("", ".", "..") or "/" in text:
        return -errno.EACCES
    if len(text) > _NAME_MAX:
        return -errno.ENAMETOOLONG
    if tree.child(parent, text) is not None:
        where = tree.path(parent)
        machine.log.write(Level.ERR, f"debugfs: '{text}' is already present in {where}\n")
        return -errno.EEXIST
    return _create(machine, tree, text, parent, mode, directory=directory, content=content)


@function(
    "struct dentry *debugfs_create_file(const char *name, umode_t mode, struct dentry *parent, void"
    " *data, const struct file_operations *fops)",
    "struct dentry *debugfs_create_file_unsafe(const char *name, umode_t mode, struct dentry"
    " *parent, void *data, const struct file_operations *fops)",
)
def debugfs_create_file(
    machine: Machine, name: int, mode: int, parent: int, data: int, operations: int
) -> int:
    return _create_debug(machine, name, parent, mode, DebugContent(operations, data))


@function(
    "struct dentry *debugfs_create_file_full|debugfs_create_file_short(const char *name, umode_t"
    " mode, struct dentry *parent, void *data, const void *aux, const struct file_operations *fops)"
)
def debugfs_create_file_full(
    machine: Machine, name: int, mode: int, parent: int, data: int, _aux: int, operations: int
) -> int:
    return _create_debug(machine, name, parent, mode, DebugContent(operations, data))


@function(
    "struct dentry *debugfs_create_blob(const char *name, umode_t mode, struct dentry *parent,"
    " struct debugfs_blob_wrapper *blob)"
)
def debugfs_create_blob(machine: Machine, name: int, mode: int, parent: int, blob: int) -> int:
    return _create_debug(machine, name, parent, mode, BlobContent(blob))


@function("struct dentry *debugfs_create_dir(const char *name, struct dentry *parent)")
def debugfs_create_dir(machine: Machine, name: int, parent: int) -> int:
    return _create_debug(machine, name, parent, 0o755, directory=True)


def _debug_value(names: str, kind: str, size: int, shown: str) -> None:
    """Declare a file that shows a number, and takes one, as printf's format ``shown`` has it."""

    @function(
        f"void debugfs_create_{names}(const char *name, umode_t mode, struct dentry *parent, {kind}"
        " *value)"
    )
    def create(machine: Machine, name: int, mode: int, parent: int, value: int) -> None:
        content = NumberContent(value, size, shown)
        _create_debug(machine, name, parent, mode, content)


for _names, _kind, _size, _shown in (
    ("u8", "u8", 1, "%d"),
    ("u16", "u16", 2, "%d"),
    ("u32", "u32", 4, "%d"),
    ("u64", "u64", 8, "%d"),
    ("x8", "u8", 1, "0x%02x"),
    ("x16", "u16", 2, "0x%04x"),
    ("x32", "u32", 4, "0x%08x"),
    ("x64", "u64", 8, "0x%016x"),
    ("ulong", "unsigned long", 8, "%d"),
    ("size_t", "size_t", 8, "%d"),
    ("atomic_t", "atomic_t", -4, "%d"),
):
    _debug_value(_names, _kind, _size, _shown)


@function(
    "void debugfs_create_bool(const char *name, umode_t mode, struct dentry *parent, bool *value)"
)
def debugfs_create_bool(machine: Machine, name: int, mode: int, parent: int, value: int) -> None:
    _create_debug(machine, name, parent, mode, BooleanContent(value))


@function("void debugfs_remove(struct dentry *dentry)")
def debugfs_remove(machine: Machine, entry: int) -> None:
    _remove(machine, machine.mounts.debugfs, entry)


@function("void debugfs_lookup_and_remove(const char *name, struct dentry *parent)")
def debugfs_lookup_and_remove(machine: Machine, name: int, parent: int) -> None:
    entry = machine.mounts.debugfs.find(parent, _named(machine, name))
    if entry is not None:
        _remove(machine, machine.mounts.debugfs, entry)


@function("struct dentry *debugfs_lookup(const char *name, struct dentry *parent)")
def debugfs_lookup(machine: Machine, name: int, parent: int) -> int:
    if parent >= _FIRST_ERROR:
        return 0
    return machine.mounts.debugfs.child(parent, _named(machine, name)) or 0


@function(
    "struct rchan *relay_open(const char *base_filename, struct dentry *parent, size_t subbuf_size,"
    " size_t n_subbufs, const struct rchan_callbacks *cb, void *private_data)"
)
def relay_open(machine: Machine, _name: int, _parent: int, size: int, count: int, *_: int) -> int:
    if not 0 < size * count <= _UINT_MAX:
        return 0
    made = machine.heap.allocate(_CHANNEL_SIZE)
    machine.ledger.take(_CHANNEL, made)
    return made


@function("void relay_close(struct rchan *chan)")
def relay_close(machine: Machine, channel: int) -> None:
    if machine.ledger.give(_CHANNEL, channel) is not None:
        machine.heap.free(channel)


machine_code(
    RETURN_ONE,
    """
    bool debugfs_initialized(void)
    """,
)
machine_code(
    RETURN,
    """
    void proc_set_size(struct proc_dir_entry *de, loff_t size)
    void proc_set_user(struct proc_dir_entry *de, kuid_t uid, kgid_t gid)
    """,
)

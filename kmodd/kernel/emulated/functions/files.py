# SPDX-License-Identifier: Apache-2.0
"""What modules show in /proc and debugfs. Nobody reads it, but everybody can list it."""

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ZERO,
    alike,
    function,
    machine_code,
    makers,
    reclaims,
)
from kmodd.kernel.emulated.machine.machine import Machine
from kmodd.kernel.emulated.machine.pseudo_filesystem import PseudoFilesystem

_ENTRY_SIZE = 256


def _create(
    machine: Machine, tree: PseudoFilesystem, name: str, parent: int, mode: int, *, directory: bool
) -> int:
    """Make an entry of a tree, on the caller's account; its address stands for it."""
    entry = machine.heap.allocate(_ENTRY_SIZE)
    path = tree.add(
        entry, parent, name, is_directory=directory, mode=mode & 0o777, module=machine.taker
    )
    machine.ledger.take(tree.kind, entry, f"{path}")
    return entry


def _remove(machine: Machine, tree: PseudoFilesystem, entry: int) -> None:
    """Remove an entry with all that is below it."""
    for each in tree.remove(entry):
        machine.ledger.give(tree.kind, each)
        machine.heap.free(each)


@reclaims("proc entry")
def forget_proc(machine: Machine, entry: int) -> None:
    """Remove an entry of a module that is gone."""
    machine.mounts.proc.remove(entry)
    machine.heap.free(entry)


@reclaims("debugfs entry")
def forget_debugfs(machine: Machine, entry: int) -> None:
    """Remove an entry of a module that is gone."""
    machine.mounts.debugfs.remove(entry)
    machine.heap.free(entry)


def _named(machine: Machine, name: int) -> str:
    return machine.memory.text(name, 255)


@function("struct proc_dir_entry *proc_mkdir(const char *name, struct proc_dir_entry *parent)")
def proc_mkdir(machine: Machine, name: int, parent: int) -> int:
    return _create(
        machine, machine.mounts.proc, _named(machine, name), parent, 0o555, directory=True
    )


@function(
    "struct proc_dir_entry *proc_mkdir_data(const char *name, umode_t mode, struct proc_dir_entry"
    " *parent, void *data)",
    "struct proc_dir_entry *_proc_mkdir(const char *name, umode_t mode, struct proc_dir_entry"
    " *parent, void *data, bool force_lookup)",
)
def proc_mkdir_data(machine: Machine, name: int, mode: int, parent: int, *_rest: int) -> int:
    return _create(
        machine, machine.mounts.proc, _named(machine, name), parent, mode, directory=True
    )


@function(
    "struct proc_dir_entry *proc_mkdir_mode(const char *name, umode_t mode, struct proc_dir_entry *parent)"
)
def proc_mkdir_mode(machine: Machine, name: int, mode: int, parent: int) -> int:
    return _create(
        machine, machine.mounts.proc, _named(machine, name), parent, mode, directory=True
    )


def _proc_file(machine: Machine, name: int, mode: int, parent: int, *_rest: int) -> int:
    """A file without any permissions can be read by all (proc_create_reg)."""
    shown = _named(machine, name)
    return _create(
        machine, machine.mounts.proc, shown, parent, mode & 0o777 or 0o444, directory=False
    )


alike(
    _proc_file,
    """
    struct proc_dir_entry *proc_create(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct proc_ops *proc_ops)
    struct proc_dir_entry *proc_create_data(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct proc_ops *proc_ops, void *data)
    struct proc_dir_entry *proc_create_seq_private(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct seq_operations *ops, unsigned int state_size, void *data)
    struct proc_dir_entry *proc_create_single_data(const char *name, umode_t mode, struct proc_dir_entry *parent, void *show, void *data)
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
    if entry is not None:
        _remove(machine, machine.mounts.proc, entry)
    return 0


@function("void proc_remove(struct proc_dir_entry *de)")
def proc_remove(machine: Machine, entry: int) -> None:
    _remove(machine, machine.mounts.proc, entry)


@function(
    "struct proc_dir_entry *proc_symlink(const char *name, struct proc_dir_entry *parent, const char *dest)"
)
def proc_symlink(machine: Machine, name: int, parent: int, _target: int) -> int:
    return _create(
        machine, machine.mounts.proc, _named(machine, name), parent, 0o777, directory=False
    )


def _debug_file(machine: Machine, name: int, mode: int, parent: int, *_rest: int) -> int:
    return _create(
        machine, machine.mounts.debugfs, _named(machine, name), parent, mode, directory=False
    )


@function("struct dentry *debugfs_create_dir(const char *name, struct dentry *parent)")
def debugfs_create_dir(machine: Machine, name: int, parent: int) -> int:
    return _create(
        machine, machine.mounts.debugfs, _named(machine, name), parent, 0o755, directory=True
    )


alike(
    _debug_file,
    """
    struct dentry *debugfs_create_file(const char *name, umode_t mode, struct dentry *parent, void *data, const struct file_operations *fops)
    struct dentry *debugfs_create_file_unsafe(const char *name, umode_t mode, struct dentry *parent, void *data, const struct file_operations *fops)
    struct dentry *debugfs_create_blob(const char *name, umode_t mode, struct dentry *parent, struct debugfs_blob_wrapper *blob)
    void debugfs_create_u8(const char *name, umode_t mode, struct dentry *parent, u8 *value)
    void debugfs_create_u16(const char *name, umode_t mode, struct dentry *parent, u16 *value)
    void debugfs_create_u32(const char *name, umode_t mode, struct dentry *parent, u32 *value)
    void debugfs_create_u64(const char *name, umode_t mode, struct dentry *parent, u64 *value)
    void debugfs_create_x8(const char *name, umode_t mode, struct dentry *parent, u8 *value)
    void debugfs_create_x16(const char *name, umode_t mode, struct dentry *parent, u16 *value)
    void debugfs_create_x32(const char *name, umode_t mode, struct dentry *parent, u32 *value)
    void debugfs_create_x64(const char *name, umode_t mode, struct dentry *parent, u64 *value)
    void debugfs_create_ulong(const char *name, umode_t mode, struct dentry *parent, unsigned long *value)
    void debugfs_create_size_t(const char *name, umode_t mode, struct dentry *parent, size_t *value)
    void debugfs_create_atomic_t(const char *name, umode_t mode, struct dentry *parent, atomic_t *value)
    void debugfs_create_bool(const char *name, umode_t mode, struct dentry *parent, bool *value)
    """,
)


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
    return machine.mounts.debugfs.find(parent, _named(machine, name)) or 0


makers(
    """
    relay channel: struct rchan *relay_open(const char *base_filename, struct dentry *parent, size_t subbuf_size, size_t n_subbufs, const struct rchan_callbacks *cb, void *private_data) / void relay_close(struct rchan *chan)
    """
)

machine_code(
    RETURN_ZERO,
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

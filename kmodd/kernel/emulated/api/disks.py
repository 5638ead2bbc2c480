# SPDX-License-Identifier: Apache-2.0
"""Disks and their queues, mounts and directory entries (block/, fs/). Nothing is read or written."""

from kmodd.kernel.emulated.api.memory import alloc_pages, allocate, release
from kmodd.kernel.emulated.api.scan import scan
from kmodd.kernel.emulated.api.table import RETURN, RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.cpu.machine import Machine

_DISK_SIZE, _DISK_PART0, _DISK_QUEUE = 672, 64, 80
_QUEUE_SIZE, _QUEUE_DATA, _QUEUE_DISK = 968, 128, 160
_PART_SIZE, _PART_DISK, _PART_QUEUE = 928, 856, 864
_ENTRY_SIZE, _ENTRY_PARENT, _ENTRY_INODE, _ENTRY_SUPER = 192, 24, 48, 104
_CONTEXT_SIZE, _CONTEXT_TYPE, _CONTEXT_ROOT = 152, 40, 64
_TYPE_INIT_CONTEXT, _OPERATIONS_GET_TREE = 16, 32
_INODE_SIZE, _INODE_SUPER, _SUPER_SIZE, _SUPER_ROOT = 632, 40, 1472, 104
_INODE_MAPPING, _INODE_PAGES, _MAPPING_HOST = 48, 376, 0


def _make_queue(machine: Machine, data: int) -> int:
    queue = machine.heap.allocate(_QUEUE_SIZE)
    machine.memory.put(queue + _QUEUE_DATA, data)
    return queue


def _make_disk(machine: Machine, data: int) -> int:
    """Return a ``struct gendisk`` with a queue and a whole partition."""
    memory = machine.memory
    disk, part = machine.heap.allocate(_DISK_SIZE), machine.heap.allocate(_PART_SIZE)
    queue = _make_queue(machine, data)
    for address, value in (
        (disk + _DISK_PART0, part),
        (disk + _DISK_QUEUE, queue),
        (queue + _QUEUE_DISK, disk),
        (part + _PART_DISK, disk),
        (part + _PART_QUEUE, queue),
    ):
        memory.put(address, value)
    machine.ledger.take("disk", disk, "a disk")
    return disk


@function(
    "struct gendisk *__blk_mq_alloc_disk(struct blk_mq_tag_set *set, void *queuedata, struct"
    " lock_class_key *lkclass)"
)
def blk_mq_alloc_disk(machine: Machine, _set: int, data: int, _key: int) -> int:
    return _make_disk(machine, data)


@function("struct gendisk *__blk_alloc_disk(int node, struct lock_class_key *lkclass)")
def blk_alloc_disk(machine: Machine, _node: int, _key: int) -> int:
    return _make_disk(machine, 0)


@function("void put_disk(struct gendisk *disk)", "void blk_cleanup_disk(struct gendisk *disk)")
def put_disk(machine: Machine, disk: int) -> None:
    if machine.ledger.give("disk", disk) is not None:
        for each in (_DISK_PART0, _DISK_QUEUE):
            machine.heap.free(machine.memory.number(disk + each))
        machine.heap.free(disk)


@function("struct request_queue *blk_mq_init_queue(struct blk_mq_tag_set *set)")
def blk_mq_init_queue(machine: Machine, _set: int) -> int:
    queue = _make_queue(machine, 0)
    machine.ledger.take("request queue", queue)
    return queue


@function("void blk_mq_destroy_queue(struct request_queue *q)")
def blk_mq_destroy_queue(_machine: Machine, _queue: int) -> None:
    """It goes with its last reference."""


@function("void blk_put_queue(struct request_queue *q)")
def blk_put_queue(machine: Machine, queue: int) -> None:
    if machine.ledger.give("request queue", queue) is not None:
        machine.heap.free(queue)


def _make_inode(machine: Machine, above: int) -> int:
    inode = machine.heap.allocate(_INODE_SIZE)
    pages = inode + _INODE_PAGES
    machine.memory.put(inode + _INODE_SUPER, above)
    machine.memory.put(inode + _INODE_MAPPING, pages)
    machine.memory.put(pages + _MAPPING_HOST, inode)
    return inode


def _make_entry(machine: Machine, parent: int, above: int) -> int:
    entry = machine.heap.allocate(_ENTRY_SIZE)
    memory = machine.memory
    memory.put(entry + _ENTRY_PARENT, parent or entry)
    memory.put(entry + _ENTRY_SUPER, above)
    if not parent:
        memory.put(entry + _ENTRY_INODE, _make_inode(machine, above))
    for head in (144, 160):
        memory.put(entry + head, entry + head)
        memory.put(entry + head + 8, entry + head)
    return entry


def _make_mount(machine: Machine, kind: int) -> int:
    """Return a ``struct vfsmount`` of a file system, or an errno below zero.

    The file system's own code fills the super block (init_fs_context, get_tree).
    """
    memory = machine.memory
    mount, context = machine.heap.allocate(64), machine.heap.allocate(_CONTEXT_SIZE)
    memory.put(context + _CONTEXT_TYPE, kind)
    start = memory.number(kind + _TYPE_INIT_CONTEXT)
    code = machine.call(start, context) if start else 0
    operations = memory.number(context)
    get_tree = memory.number(operations + _OPERATIONS_GET_TREE) if operations else 0
    if not code and get_tree:
        code = machine.call(get_tree, context)
    if code < 0:
        return code
    root = memory.number(context + _CONTEXT_ROOT)
    if not root:
        above = machine.heap.allocate(_SUPER_SIZE)
        root = _make_entry(machine, 0, above)
    memory.put(mount, root)
    memory.put(mount + 8, memory.number(root + _ENTRY_SUPER))
    machine.heap.free(context)
    return mount


@function(
    "int get_tree_single(struct fs_context *fc, int (*fill_super)(struct super_block *sb, struct fs_context *fc))",
    "int get_tree_nodev(struct fs_context *fc, int (*fill_super)(struct super_block *sb, struct fs_context *fc))",
)
def get_tree_single(machine: Machine, context: int, fill: int) -> int:
    memory = machine.memory
    above = machine.heap.allocate(_SUPER_SIZE)
    code = machine.call(fill, above, context)
    memory.put(context + _CONTEXT_ROOT, memory.number(above + _SUPER_ROOT))
    return code


@function("struct dentry *d_make_root(struct inode *root_inode)")
def d_make_root(machine: Machine, inode: int) -> int:
    if not inode:
        return 0
    root = _make_entry(machine, 0, machine.memory.number(inode + _INODE_SUPER))
    machine.memory.put(root + _ENTRY_INODE, inode)
    return root


@function(
    "int simple_pin_fs(struct file_system_type *type, struct vfsmount **mount, int *count)",
)
def simple_pin_fs(machine: Machine, kind: int, mount: int, count: int) -> int:
    memory = machine.memory
    if not memory.number(mount):
        made = _make_mount(machine, kind)
        if made < 0:
            return made
        memory.put(mount, made)
    memory.put(count, memory.number(count, 4) + 1, 4)
    return 0


@function("void simple_release_fs(struct vfsmount **mount, int *count)")
def simple_release_fs(machine: Machine, mount: int, count: int) -> None:
    memory = machine.memory
    left = memory.number(count, 4) - 1
    memory.put(count, left, 4)
    if left == 0:
        memory.put(mount, 0)


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
        machine.heap.free(mount)


@function("struct dentry *d_alloc_name(struct dentry *parent, const char *name)")
def d_alloc_name(machine: Machine, parent: int, _name: int) -> int:
    return _make_entry(machine, parent, machine.memory.number(parent + _ENTRY_SUPER))


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
    if machine.ledger.give("inode", inode) is not None:
        machine.heap.free(inode)


@function(
    "void d_instantiate(struct dentry *entry, struct inode *inode)",
    "void d_add(struct dentry *entry, struct inode *inode)",
)
def d_instantiate(machine: Machine, entry: int, inode: int) -> None:
    if inode:
        machine.memory.put(entry + _ENTRY_INODE, inode)


machine_code(
    RETURN,
    """
    void d_drop(struct dentry *dentry)
    void d_delete(struct dentry *dentry)
    void dput(struct dentry *dentry)
    void d_rehash(struct dentry *entry)
    void inc_nlink(struct inode *inode)
    void drop_nlink(struct inode *inode)
    void mntput(struct vfsmount *mnt)
    void blk_queue_max_hw_sectors(struct request_queue *q, unsigned int max_hw_sectors)
    void blk_queue_logical_block_size(struct request_queue *q, unsigned int size)
    void blk_queue_physical_block_size(struct request_queue *q, unsigned int size)
    void blk_queue_io_min(struct request_queue *q, unsigned int min)
    void blk_queue_io_opt(struct request_queue *q, unsigned int opt)
    void blk_queue_flag_set(unsigned int flag, struct request_queue *q)
    void blk_queue_flag_clear(unsigned int flag, struct request_queue *q)
    void blk_queue_write_cache(struct request_queue *q, bool wc, bool fua)
    void blk_queue_max_discard_sectors(struct request_queue *q, unsigned int max_discard_sectors)
    void blk_queue_max_write_zeroes_sectors(struct request_queue *q, unsigned int max_write_same_sectors)
    void set_capacity(struct gendisk *disk, sector_t sectors)
    """,
)
machine_code(
    RETURN_ZERO,
    """
    int simple_rmdir(struct inode *dir, struct dentry *dentry)
    bool set_capacity_and_notify(struct gendisk *disk, sector_t size)
    """,
)


@function(
    "int __percpu_counter_init(struct percpu_counter *fbc, s64 amount, gfp_t gfp, struct"
    " lock_class_key *key)"
)
def percpu_counter_init(machine: Machine, counter: int, amount: int, *_rest: int) -> int:
    machine.memory.put(counter + 8, amount)
    return 0


@function("void percpu_counter_destroy(struct percpu_counter *fbc)")
def percpu_counter_destroy(_machine: Machine, _counter: int) -> None:
    """The counter has nothing to give back."""


@function(
    "bool alloc_cpumask_var_node(cpumask_var_t *mask, gfp_t flags, int node)",
    "bool zalloc_cpumask_var_node(cpumask_var_t *mask, gfp_t flags, int node)",
    "bool alloc_cpumask_var(cpumask_var_t *mask, gfp_t flags)",
    "bool zalloc_cpumask_var(cpumask_var_t *mask, gfp_t flags)",
)
def alloc_cpumask_var(machine: Machine, mask: int, *_rest: int) -> int:
    machine.memory.put(mask, allocate(machine, 1024))
    return 1


@function(
    "void free_cpumask_var(cpumask_var_t mask)", "void bitmap_free(const unsigned long *bitmap)"
)
def free_cpumask_var(machine: Machine, mask: int) -> None:
    release(machine, mask)


@function(
    "unsigned long *bitmap_zalloc(unsigned int nbits, gfp_t flags)",
    "unsigned long *bitmap_alloc(unsigned int nbits, gfp_t flags)",
)
def bitmap_zalloc(machine: Machine, bits: int, _flags: int) -> int:
    return allocate(machine, -(-bits // 64) * 8)


@function("struct folio *folio_alloc(gfp_t gfp, unsigned int order)")
def folio_alloc(machine: Machine, _flags: int, order: int) -> int:
    return alloc_pages(machine, 0, order) or 0


@function(
    "int zlib_inflate_workspacesize(void)",
    "int zlib_deflate_workspacesize(int windowBits, int memLevel)",
)
def zlib_workspacesize(_machine: Machine, *_sizes: int) -> int:
    return 64 << 10


@function("int sscanf(const char *buf, const char *fmt, ...)")
def sscanf(machine: Machine, text: int, template: int) -> int:
    words = machine.arguments(2)
    found = scan(machine.memory.string(text), machine.memory.string(template))
    for size, value in found:
        target = next(words)
        if isinstance(value, bytes):
            machine.memory.write(target, value + b"\0")
        else:
            machine.memory.put(target, value, size)
    return len(found)

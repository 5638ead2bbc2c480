# SPDX-License-Identifier: Apache-2.0
"""File systems, block devices, settings in /proc/sys."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import Structure, at, enumerator, whole


class _Dentry(Structure, of="dentry"):
    """``struct dentry``; ``super_block`` is that of its file system"""

    flags: int = at(0, "d_flags")
    parent: int = at(24, "d_parent")
    name_length: int = at(36, "d_name.len")
    name: int = at(40, "d_name.name")
    inode: int = at(48, "d_inode")
    count: int = at(92, "d_lockref.count")
    operations: int = at(96, "d_op")
    super_block: int = at(104, "d_sb")
    siblings: int = at(144, "d_child")
    children: int = at(160, "d_subdirs")
    size: int = whole(192)


class _DentryFlags(Structure, of="dentry_flags"):
    """``enum dentry_flags``, since 6.15; macros before: the kinds of an entry, and their mask"""

    kinds: int = enumerator(0x700000, "DCACHE_ENTRY_TYPE")
    directory: int = enumerator(0x200000, "DCACHE_DIRECTORY_TYPE")
    regular: int = enumerator(0x400000, "DCACHE_REGULAR_TYPE")
    symbolic_link: int = enumerator(0x600000, "DCACHE_SYMLINK_TYPE")
    special: int = enumerator(0x500000, "DCACHE_SPECIAL_TYPE")


class _DentryOperations(Structure, of="dentry_operations"):
    """``struct dentry_operations``"""

    release: int = at(48, "d_release")
    iput: int = at(64, "d_iput")


class _LockedCount(Structure, of="lockref"):
    """``struct lockref``"""

    count: int = at(4)


class _Inode(Structure, of="inode"):
    """``struct inode``"""

    mode: int = at(0, "i_mode")
    super_block: int = at(40, "i_sb")
    mapping: int = at(48, "i_mapping")
    device_number: int = at(76, "i_rdev")
    length: int = at(80, "i_size")
    count: int = at(344, "i_count")
    pages: int = at(376, "i_data")
    cdev: int = at(584, "i_cdev")
    data: int = at(624, "i_private")
    size: int = whole(632)


class _AddressSpace(Structure, of="address_space"):
    """``struct address_space``"""

    host: int = at(0)


class _SuperBlock(Structure, of="super_block"):
    """``struct super_block``"""

    type: int = at(40, "s_type")
    root: int = at(104, "s_root")
    dentry_operations: int = at(1064, "s_d_op", "__s_d_op")
    size: int = whole(1472)


class _Mount(Structure, of="vfsmount"):
    """``struct vfsmount``"""

    root: int = at(0, "mnt_root")
    super_block: int = at(8, "mnt_sb")


class _FileSystem(Structure, of="file_system_type"):
    """``struct file_system_type``"""

    init_context: int = at(16, "init_fs_context")
    owner: int = at(48)


class _FileSystemContext(Structure, of="fs_context"):
    """``struct fs_context``"""

    operations: int = at(0, "ops")
    type: int = at(40, "fs_type")
    root: int = at(64)
    size: int = whole(152)


class _ContextOperations(Structure, of="fs_context_operations"):
    """``struct fs_context_operations``"""

    get_tree: int = at(32)


class _Disk(Structure, of="gendisk"):
    """``struct gendisk``"""

    part0: int = at(64)
    operations: int = at(72, "fops")
    queue: int = at(80)
    size: int = whole(672)


class _DiskOperations(Structure, of="block_device_operations"):
    """``struct block_device_operations``"""

    free_disk: int = at(88)


class _RequestQueue(Structure, of="request_queue"):
    """``struct request_queue``"""

    data: int = at(128, "queuedata")
    disk: int = at(160)
    size: int = whole(968)


class _BlockDevice(Structure, of="block_device"):
    """``struct block_device``"""

    sectors: int = at(8, "bd_nr_sectors")
    disk: int = at(856, "bd_disk")
    queue: int = at(864, "bd_queue")
    size: int = whole(928)


class _SysctlEntry(Structure, of="ctl_table"):
    """``struct ctl_table``, one of its entries"""

    name: int = at(0, "procname")
    mode: int = at(20)
    child: int = at(24)
    handler: int = at(32, "proc_handler")
    size: int = whole(64)


class _SysctlHeader(Structure, of="ctl_table_header"):
    """``struct ctl_table_header``"""

    table: int = at(0, "ctl_table")
    table_argument: int = at(32, "ctl_table_arg")


DENTRY: Final = _Dentry()
DENTRY_FLAGS: Final = _DentryFlags()
DENTRY_OPERATIONS: Final = _DentryOperations()
LOCKED_COUNT: Final = _LockedCount()
INODE: Final = _Inode()
ADDRESS_SPACE: Final = _AddressSpace()
SUPER_BLOCK: Final = _SuperBlock()
MOUNT: Final = _Mount()
FILE_SYSTEM: Final = _FileSystem()
FILE_SYSTEM_CONTEXT: Final = _FileSystemContext()
CONTEXT_OPERATIONS: Final = _ContextOperations()
DISK: Final = _Disk()
DISK_OPERATIONS: Final = _DiskOperations()
REQUEST_QUEUE: Final = _RequestQueue()
BLOCK_DEVICE: Final = _BlockDevice()
SYSCTL_ENTRY: Final = _SysctlEntry()
SYSCTL_HEADER: Final = _SysctlHeader()

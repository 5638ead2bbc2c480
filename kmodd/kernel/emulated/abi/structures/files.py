# SPDX-License-Identifier: Apache-2.0
"""File systems, block devices, settings in /proc/sys."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _Dentry:
    """``struct dentry``; ``super_block`` is that of its file system"""

    flags: int = 0
    parent: int = 24
    name_length: int = 36
    name: int = 40
    inode: int = 48
    count: int = 92
    operations: int = 96
    super_block: int = 104
    siblings: int = 144
    children: int = 160
    size: int = 192


@dataclass(frozen=True, slots=True)
class _DentryOperations:
    """``struct dentry_operations``"""

    release: int = 48
    iput: int = 64


@dataclass(frozen=True, slots=True)
class _LockedCount:
    """``struct lockref``"""

    count: int = 4


@dataclass(frozen=True, slots=True)
class _Inode:
    """``struct inode``"""

    mode: int = 0
    super_block: int = 40
    mapping: int = 48
    count: int = 344
    pages: int = 376
    size: int = 632


@dataclass(frozen=True, slots=True)
class _AddressSpace:
    """``struct address_space``"""

    host: int = 0


@dataclass(frozen=True, slots=True)
class _SuperBlock:
    """``struct super_block``"""

    type: int = 40
    root: int = 104
    dentry_operations: int = 1064
    size: int = 1472


@dataclass(frozen=True, slots=True)
class _Mount:
    """``struct vfsmount``"""

    root: int = 0
    super_block: int = 8


@dataclass(frozen=True, slots=True)
class _FileSystem:
    """``struct file_system_type``"""

    init_context: int = 16
    owner: int = 48


@dataclass(frozen=True, slots=True)
class _FileSystemContext:
    """``struct fs_context``"""

    operations: int = 0
    type: int = 40
    root: int = 64
    size: int = 152


@dataclass(frozen=True, slots=True)
class _ContextOperations:
    """``struct fs_context_operations``"""

    get_tree: int = 32


@dataclass(frozen=True, slots=True)
class _Disk:
    """``struct gendisk``"""

    part0: int = 64
    operations: int = 72
    queue: int = 80
    size: int = 672


@dataclass(frozen=True, slots=True)
class _DiskOperations:
    """``struct block_device_operations``"""

    free_disk: int = 88


@dataclass(frozen=True, slots=True)
class _RequestQueue:
    """``struct request_queue``"""

    data: int = 128
    disk: int = 160
    size: int = 968


@dataclass(frozen=True, slots=True)
class _BlockDevice:
    """``struct block_device``"""

    sectors: int = 8
    disk: int = 856
    queue: int = 864
    size: int = 928


@dataclass(frozen=True, slots=True)
class _SysctlEntry:
    """``struct ctl_table``, one of its entries"""

    name: int = 0
    mode: int = 20
    child: int = 24
    handler: int = 32
    size: int = 64


@dataclass(frozen=True, slots=True)
class _SysctlHeader:
    """``struct ctl_table_header``"""

    table: int = 0
    table_argument: int = 32


DENTRY: Final = _Dentry()
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

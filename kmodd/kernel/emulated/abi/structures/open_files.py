# SPDX-License-Identifier: Apache-2.0
"""Open files, and the tables of what can be done with one."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import Structure, at, enumerator, whole


class _File(Structure, of="file"):
    """``struct file``"""

    entry: int = at(24, "f_path.dentry")
    inode: int = at(32, "f_inode")
    operations: int = at(40, "f_op")
    flags: int = at(64, "f_flags")
    mode: int = at(68, "f_mode")
    position: int = at(104, "f_pos")
    data: int = at(200, "private_data")
    size: int = whole(232)


class _FileOperations(Structure, of="file_operations"):
    """``struct file_operations``"""

    owner: int = at(0)
    seek: int = at(8, "llseek")
    read: int = at(16)
    write: int = at(24)
    read_iter: int = at(32)
    write_iter: int = at(40)
    poll: int = at(72)
    control: int = at(80, "unlocked_ioctl")
    open: int = at(112)
    flush: int = at(120)
    release: int = at(128)


class _ProcOperations(Structure, of="proc_ops"):
    """``struct proc_ops``"""

    open: int = at(8, "proc_open")
    read: int = at(16, "proc_read")
    read_iter: int = at(24, "proc_read_iter")
    write: int = at(32, "proc_write")
    seek: int = at(40, "proc_lseek")
    release: int = at(48, "proc_release")
    poll: int = at(56, "proc_poll")
    control: int = at(64, "proc_ioctl")


class _SequenceFile(Structure, of="seq_file"):
    """``struct seq_file``; ``count`` bytes of ``buffer`` are filled, ``start`` of them are taken"""

    buffer: int = at(0, "buf")
    room: int = at(8, "size")
    start: int = at(16, "from")
    count: int = at(24)
    padding: int = at(32, "pad_until")
    index: int = at(40)
    position: int = at(48, "read_pos")
    operations: int = at(88, "op")
    file: int = at(104)
    data: int = at(112, "private")
    size: int = whole(120)


class _SequenceOperations(Structure, of="seq_operations"):
    """``struct seq_operations``"""

    start: int = at(0)
    stop: int = at(8)
    next: int = at(16)
    show: int = at(24)
    size: int = whole(32)


class _PollTable(Structure, of="poll_table_struct"):
    """``struct poll_table_struct``: who is told of each queue that is waited in, and for what"""

    enqueue: int = at(0, "_qproc")
    events: int = at(8, "_key")
    size: int = whole(16)


class _Transfer(Structure, of="kiocb"):
    """``struct kiocb``: one reading or writing of a file"""

    file: int = at(0, "ki_filp")
    position: int = at(8, "ki_pos")
    flags: int = at(32, "ki_flags")
    size: int = whole(48)


class _BufferIterator(Structure, of="iov_iter"):
    """``struct iov_iter`` over one buffer of a user's"""

    kind: int = at(0, "iter_type")
    is_source: int = at(2, "data_source")
    is_users: int = at(3, "user_backed")
    offset: int = at(8, "iov_offset")
    count: int = at(16)
    buffer: int = at(24, "ubuf")
    size: int = whole(40)


class _IteratorKinds(Structure, of="iter_type"):
    """``enum iter_type``"""

    users: int = enumerator(6, "ITER_UBUF")


class _Blob(Structure, of="debugfs_blob_wrapper"):
    """``struct debugfs_blob_wrapper``"""

    data: int = at(0)
    length: int = at(8, "size")


BLOB: Final = _Blob()
FILE: Final = _File()
FILE_OPERATIONS: Final = _FileOperations()
PROC_OPERATIONS: Final = _ProcOperations()
SEQUENCE_FILE: Final = _SequenceFile()
SEQUENCE_OPERATIONS: Final = _SequenceOperations()
POLL_TABLE: Final = _PollTable()
TRANSFER: Final = _Transfer()
BUFFER_ITERATOR: Final = _BufferIterator()
ITERATOR_KINDS: Final = _IteratorKinds()

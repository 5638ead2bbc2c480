# SPDX-License-Identifier: Apache-2.0
"""``struct module``, its parameters, and the tables in its sections."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import Structure, at, bytes_of, whole


class _Module(Structure, of="module"):
    """``struct module``; ``name`` has ``name_size`` bytes with its NUL (MODULE_NAME_LEN)"""

    state: int = at(0)
    name: int = at(24)
    name_size: int = bytes_of(56, "name")


class _Parameter(Structure, of="kernel_param"):
    """``struct kernel_param``"""

    name: int = at(0)
    operations: int = at(16, "ops")
    mode: int = at(24, "perm")
    place: int = at(32, "arg")
    size: int = whole(40)


class _ParameterOperations(Structure, of="kernel_param_ops"):
    """``struct kernel_param_ops``"""

    set: int = at(8)
    get: int = at(16)
    free: int = at(24)


class _ParameterArray(Structure, of="kparam_array"):
    """``struct kparam_array``; ``count`` points at how many elements there are"""

    most: int = at(0, "max")
    element_size: int = at(4, "elemsize")
    count: int = at(8, "num")
    elements: int = at(24, "elem")


class _ParameterString(Structure, of="kparam_string"):
    """``struct kparam_string``"""

    most: int = at(0, "maxlen")
    text: int = at(8, "string")


class _BugEntry(Structure, of="bug_entry"):
    """``struct bug_entry``; ``address`` and ``file`` are distances from themselves"""

    address: int = at(0, "bug_addr_disp")
    file: int = at(4, "file_disp")
    line: int = at(8)
    flags: int = at(10)
    size: int = whole(12)


class _JumpEntry(Structure, of="jump_entry"):
    """``struct jump_entry``; all are distances from themselves"""

    code: int = at(0)
    target: int = at(4)
    key: int = at(8)


MODULE: Final = _Module()
PARAMETER: Final = _Parameter()
PARAMETER_OPERATIONS: Final = _ParameterOperations()
PARAMETER_ARRAY: Final = _ParameterArray()
PARAMETER_STRING: Final = _ParameterString()
BUG_ENTRY: Final = _BugEntry()
JUMP_ENTRY: Final = _JumpEntry()

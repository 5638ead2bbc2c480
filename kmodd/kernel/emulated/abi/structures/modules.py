# SPDX-License-Identifier: Apache-2.0
"""``struct module``, its parameters, and the tables in its sections."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class _Module:
    """``struct module``; ``name`` has ``name_size`` bytes with its NUL (MODULE_NAME_LEN)"""

    state: int = 0
    name: int = 24
    name_size: int = 56


@dataclass(frozen=True, slots=True)
class _Parameter:
    """``struct kernel_param``"""

    name: int = 0
    operations: int = 16
    mode: int = 24
    place: int = 32
    size: int = 40


@dataclass(frozen=True, slots=True)
class _ParameterOperations:
    """``struct kernel_param_ops``"""

    set: int = 8
    get: int = 16
    free: int = 24


@dataclass(frozen=True, slots=True)
class _ParameterArray:
    """``struct kparam_array``; ``count`` points at how many elements there are"""

    most: int = 0
    element_size: int = 4
    count: int = 8
    elements: int = 24


@dataclass(frozen=True, slots=True)
class _ParameterString:
    """``struct kparam_string``"""

    most: int = 0
    text: int = 8


@dataclass(frozen=True, slots=True)
class _BugEntry:
    """``struct bug_entry``; ``address`` and ``file`` are distances from themselves"""

    address: int = 0
    file: int = 4
    line: int = 8
    flags: int = 10
    size: int = 12


@dataclass(frozen=True, slots=True)
class _JumpEntry:
    """``struct jump_entry``; all are distances from themselves"""

    code: int = 0
    target: int = 4
    key: int = 8


MODULE: Final = _Module()
PARAMETER: Final = _Parameter()
PARAMETER_OPERATIONS: Final = _ParameterOperations()
PARAMETER_ARRAY: Final = _ParameterArray()
PARAMETER_STRING: Final = _ParameterString()
BUG_ENTRY: Final = _BugEntry()
JUMP_ENTRY: Final = _JumpEntry()

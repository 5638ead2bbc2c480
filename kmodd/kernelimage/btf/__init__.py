# SPDX-License-Identifier: Apache-2.0
"""BTF: a kernel's own word on its types (Documentation/bpf/btf.rst).

reading                     the bytes of a ``.BTF`` section, walked once
types                       what a type is made of, as values
layouts                     questions: where a field is, how large a type is, what a function takes
"""

from kmodd.kernelimage.btf.layouts import Field, Layouts
from kmodd.kernelimage.btf.reading import BTF_BEGINNING, Btf
from kmodd.kernelimage.btf.types import (
    BtfKind,
    Enumerator,
    FunctionType,
    Member,
    Parameter,
    Variable,
)

__all__ = [
    "BTF_BEGINNING",
    "Btf",
    "BtfKind",
    "Enumerator",
    "Field",
    "FunctionType",
    "Layouts",
    "Member",
    "Parameter",
    "Variable",
]

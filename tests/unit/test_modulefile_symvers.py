# SPDX-License-Identifier: Apache-2.0
"""What a Module.symvers says of the kernel's own symbols."""

from kmodd.modulefile.exports import ExportedSymbol
from kmodd.modulefile.symvers import read_symvers


def test_a_symvers_gives_the_kernels_own_symbols() -> None:
    data = (
        b"0x0000002a\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n"
        b"0x00000007\tlib_do\tlib/lib\tEXPORT_SYMBOL\t\n"
        b"0x00000009\tgpl_do\tvmlinux\tEXPORT_SYMBOL_GPL\tSPACE\n"
        b"0x00000001\tvmlinux_do\tvmlinux_not\tEXPORT_SYMBOL\t\n"
        b"0x00zz\tbad\tvmlinux\tEXPORT_SYMBOL\t\n"
        b"0x815f2897\tlast\tvmlinux\nnonsense\n"
    )
    assert read_symvers(data) == {
        "_printk": ExportedSymbol("_printk", 42, gpl_only=False, namespace=""),
        "gpl_do": ExportedSymbol("gpl_do", 9, gpl_only=True, namespace="SPACE"),
        "last": ExportedSymbol("last", 0x815F2897, gpl_only=False, namespace=""),
    }

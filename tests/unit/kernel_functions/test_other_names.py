# SPDX-License-Identifier: Apache-2.0
"""Functions that later or older kernels have by another name, and that are the same in all else."""

import pytest

from tests.support.require import require_emulator

require_emulator()

import kmodd.kernel.emulated.functions.everything  # noqa: E402, F401  # declares all functions
from kmodd.kernel.emulated.abi.function_table import FUNCTIONS  # noqa: E402

OTHER_NAMES = {
    "__alloc_pages": ("__alloc_pages_noprof", "__alloc_pages_nodemask"),
    "__get_free_pages": ("get_free_pages_noprof",),
    "__list_add_valid": ("__list_add_valid_or_report",),
    "__list_del_entry_valid": ("__list_del_entry_valid_or_report",),
    "_find_first_bit": ("find_first_bit",),
    "_find_first_zero_bit": ("find_first_zero_bit",),
    "_find_next_and_bit": ("find_next_and_bit",),
    "_find_next_bit": ("find_next_bit",),
    "_find_next_zero_bit": ("find_next_zero_bit",),
    "_dev_printk": ("dev_printk",),
    "_printk": ("printk",),
    "alloc_pages": ("alloc_pages_noprof", "alloc_pages_current"),
    "alloc_pages_exact": ("alloc_pages_exact_noprof",),
    "alloc_workqueue": ("alloc_workqueue_noprof",),
    "folio_alloc": ("folio_alloc_noprof",),
    "get_zeroed_page": ("get_zeroed_page_noprof",),
    "strscpy": ("sized_strscpy",),
}
"""By the name that has the tests of what they do, that of Linux 6.1."""


@pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name in OTHER_NAMES for other in OTHER_NAMES[name]]
)
def test_a_function_is_the_same_by_any_of_its_names(name: str, other: str) -> None:
    one, same = FUNCTIONS[name], FUNCTIONS[other]
    assert (same.work, same.code) == (one.work, one.code)
    assert same.prototype.parameters == one.prototype.parameters
    assert same.prototype.result == one.prototype.result
    assert (one.prototype.name, same.prototype.name) == (name, other)

# SPDX-License-Identifier: Apache-2.0
"""What a rejected value was is for those who may read the parameter."""

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.errors import KernelError, Reason
from kmodd.kernel.emulated import EmulatedKernel
from kmodd.namespace import Namespace
from kmodd.service.view import View
from tests.support.namespaces import namespace_on
from tests.support.small_tree import empty_tree


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Namespace, EmulatedKernel]:
    namespace, kernel = namespace_on(empty_tree(tmp_path_factory.mktemp("root")))
    assert isinstance(kernel, EmulatedKernel)
    return namespace, kernel


def view(served: tuple[Namespace, EmulatedKernel], role: Role) -> View:
    return View(Caller("/s", role), served[1].traits)


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.LOADER])
@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("`s3cret' invalid for parameter `key' of m", "a value invalid for parameter `key' of m"),
        ("m: `s3cret' too large for parameter `key'", "m: a value too large for parameter `key'"),
        ("`' invalid for parameter `s3cret' invalid for parameter `k'", "a value invalid for"),
        ("m: `a\ns3cret' invalid for parameter `k'", "m: a value invalid for parameter `k'"),
        ("m: `s3cret that is cut sho", "m: a value that is not told"),
    ],
)
def test_a_rejected_value_is_hidden_from_all_but_admins(
    served: tuple[Namespace, EmulatedKernel], role: Role, message: str, shown: str
) -> None:
    error = KernelError(Reason.INVALID_PARAMETER, message, log=(message,))
    told = view(served, role).shown_error(error)
    assert told.message.startswith(shown)
    assert "s3cret" not in f"{told.message}{told}{told.log}"
    assert view(served, Role.ADMIN).shown_error(error) is error
    if "for parameter" in message:
        assert "s3cret" not in view(served, role).shown_line(f"m: {message}")
    assert view(served, Role.ADMIN).shown_line(message) == message


def test_a_line_of_the_log_that_may_be_cut_short_shows_no_value_either(
    served: tuple[Namespace, EmulatedKernel],
) -> None:
    line = f"m: `{'x' * 1000}"
    assert view(served, Role.OBSERVER).shown_line(line) == "m: a value that is not told"
    assert view(served, Role.OBSERVER).shown_line("it's `so'") == "it's `so'"


def test_other_failures_are_told_as_they_are(served: tuple[Namespace, EmulatedKernel]) -> None:
    error = KernelError(Reason.KERNEL_REFUSED, "`x' is there", log=("a line",))
    assert view(served, Role.OBSERVER).shown_error(error) is error

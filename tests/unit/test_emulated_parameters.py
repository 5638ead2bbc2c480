# SPDX-License-Identifier: Apache-2.0
"""Parameters of modules that are in the emulated kernel, as writing to their files sets them."""

import errno
from collections.abc import Iterator

import pytest

from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import Kernel
from kmodd.kernel.emulated import IsolatedKernel
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.emulated import RELEASE, kernel, load, log, refusal, vmlinux
from tests.support.param_writer import UNSAFE, Param
from tests.support.require import require_emulator

MODULE = ModuleSpec(
    parameters=(
        Param("count", initial=b"\1\0\0\0"),
        Param("loud", "bool"),
        Param("name", "charp", initial=b"nobody"),
        Param("label", "string", buffer=4),
        Param("numbers", "byte", elements=2),
        Param("fixed", mode=0o444),
        Param("secret", mode=0),
        Param("sealed", "bool_enable_only"),
        Param("risky", flags=UNSAFE),
    )
)


@pytest.fixture(params=["here", "isolated"])
def one(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """A kernel with the module in it, in this process or in one of its own."""
    booted = kernel() if request.param == "here" else IsolatedKernel(RELEASE, vmlinux)
    load(booted, MODULE)
    yield booted
    booted.close()


def values(of: Kernel) -> dict[str, str | None]:
    details = of.details("sample")
    assert details is not None
    return {each.name: each.value for each in details.parameters}


def failure(of: Kernel, name: str, value: str, module: str = "sample") -> KernelError:
    """Set a parameter, which must fail, and see that no value has changed."""
    before = values(of)
    with pytest.raises(KernelError) as refused:
        of.set_parameter(module, name, value)
    assert values(of) == before
    return refused.value


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("count", "-3", "-3"),
        ("count", "0x10\n", "16"),
        ("loud", "on", "Y"),
        ("name", "Ada Lovelace", "Ada Lovelace"),
        ("label", "abc", "abc"),
        ("numbers", "7", "7"),
        ("numbers", "7,8", "7,8"),
    ],
)
def test_a_value_that_fits_is_shown_from_then_on(
    one: Kernel, name: str, given: str, shown: str
) -> None:
    before = values(one)
    one.set_parameter("sample", name, given)
    assert values(one) == before | {name: shown}


@pytest.mark.parametrize(
    ("name", "given", "code", "said"),
    [
        ("count", "often", errno.EINVAL, ()),
        ("count", "9999999999", errno.ERANGE, ()),
        ("loud", "maybe", errno.EINVAL, ()),
        ("label", "abcd", errno.ENOSPC, ("label: string doesn't fit in 3 chars.",)),
    ],
)
def test_a_value_that_does_not_fit_changes_nothing(
    one: Kernel, name: str, given: str, code: int, said: tuple[str, ...]
) -> None:
    error = failure(one, name, given)
    assert (error.reason, error.errno, error.log) == (Reason.INVALID_PARAMETER, code, said)
    assert tuple(log(one)[1:]) == said


def test_what_the_module_lets_nobody_write_not_even_root_writes(one: Kernel) -> None:
    error = failure(one, "fixed", "1")
    assert (error.reason, error.errno) == (Reason.KERNEL_REFUSED, errno.EACCES)


@pytest.mark.parametrize("name", ["secret", "nosuch", "", ".", "../count", "cou-nt"])
def test_what_has_no_file_is_not_there(one: Kernel, name: str) -> None:
    assert "secret" not in values(one)
    error = failure(one, name, "1")
    assert (error.reason, error.errno) == (Reason.PARAMETER_NOT_FOUND, errno.ENOENT)


def test_a_module_that_is_not_there_has_no_parameters(one: Kernel) -> None:
    error = failure(one, "count", "1", module="nosuch")
    assert (error.reason, error.errno) == (Reason.MODULE_NOT_LOADED, errno.ENOENT)


def test_what_can_only_be_switched_on_is_never_switched_off(one: Kernel) -> None:
    one.set_parameter("sample", "sealed", "N")
    one.set_parameter("sample", "sealed", "Y")
    assert failure(one, "sealed", "N").errno == errno.EROFS
    one.set_parameter("sample", "sealed", "1")


def test_a_dangerous_parameter_taints(one: Kernel) -> None:
    one.set_parameter("sample", "risky", "1")
    assert one.identity().taints == "U"
    assert log(one)[-1] == "Setting dangerous option risky - tainting kernel"


@pytest.mark.parametrize(
    ("given", "code", "shown"), [("1,2,3", errno.EINVAL, "1,2"), ("5,256", errno.ERANGE, "5")]
)
def test_the_elements_before_a_bad_one_are_set(
    one: Kernel, given: str, code: int, shown: str
) -> None:
    with pytest.raises(KernelError) as refused:
        one.set_parameter("sample", "numbers", given)
    assert refused.value.errno == code
    assert values(one)["numbers"] == shown


def returning(number: int) -> bytes:
    """Return x86 code: mov $number, %eax; ret"""
    return b"\xb8" + number.to_bytes(4, "little", signed=True) + b"\xc3"


@pytest.mark.parametrize(
    ("setter", "code", "line"),
    [
        (-errno.ERANGE, errno.ERANGE, "`7' invalid for parameter `own'"),
        (-errno.ENOSPC, errno.ENOSPC, "`7' too large for parameter `own'"),
        (-errno.ENOENT, errno.ENOENT, "Unknown parameter `own'"),
        (-1 << 31, errno.EINVAL, "`7' invalid for parameter `own'"),
    ],
)
def test_a_modules_own_type_is_set_by_its_own_code(setter: int, code: int, line: str) -> None:
    require_emulator()
    one = IsolatedKernel(RELEASE, vmlinux)
    spec = ModuleSpec(parameters=(Param("own", "mine", setter=returning(setter)),))
    error = refusal(one, write_module(spec), "own=7")
    assert (error.errno, error.reason) == (code, Reason.INVALID_PARAMETER)
    assert error.log == (f"sample: {line}",)
    # It is not asked for a value that is none, unless it says that it takes that.
    bare = refusal(one, write_module(spec), "own")
    assert (bare.errno, bare.log) == (errno.EINVAL, ("sample: `' invalid for parameter `own'",))
    load(one, spec)
    with pytest.raises(KernelError) as refused:
        one.set_parameter("sample", "own", "7")
    assert refused.value.errno == code
    one.close()


def test_what_a_modules_own_code_returns_above_zero_is_no_errno() -> None:
    require_emulator()
    one = kernel(boot={"run_code": True})
    load(one, ModuleSpec(parameters=(Param("own", "mine", setter=returning(5)),)), "own=7")


def test_a_mode_beyond_permissions_is_what_a_file_has_of_it(one: Kernel) -> None:
    load(one, ModuleSpec(name="odd", parameters=(Param("all", mode=0xFFFF),)))
    details = one.details("odd")
    assert details is not None
    assert [each.mode for each in details.parameters] == [0o7777]

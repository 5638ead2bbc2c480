# SPDX-License-Identifier: Apache-2.0
"""What the emulated kernel's process says, where it is of another size than the API can tell."""

from dataclasses import replace
from typing import Any

import pytest

from kmodd.kernel.base import InsertFlags, LoadedModule, ModuleDetails, ParameterValue
from kmodd.kernel.emulated.process.messages import (
    MODE_MAX,
    REFCOUNT_MAX,
    pack_details,
    pack_module,
    unpack_details,
    unpack_module,
)
from kmodd.kernel.emulated.process.wire import ProtocolError
from kmodd.namespace import DescribedParameter
from kmodd.service.convert import module_message, parameter_message
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.emulated import kernel


def loaded() -> tuple[LoadedModule, ModuleDetails]:
    """Return a module as a kernel lists it, and its details."""
    genuine = kernel()
    genuine.init_module(write_module(ModuleSpec()), "", InsertFlags.NONE)
    (module,) = genuine.modules()
    details = genuine.details(module.name)
    assert details is not None
    return module, details


def with_mode(mode: int) -> list[Any]:
    _, details = loaded()
    return pack_details(replace(details, parameters=(ParameterValue("debug", "1", mode),)))


def with_references(count: int) -> list[Any]:
    module, _ = loaded()
    return pack_module(replace(module, refcount=count))


@pytest.mark.parametrize("count", [-1, REFCOUNT_MAX])
def test_as_many_references_as_a_kernel_may_count_are_told(count: int) -> None:
    told = module_message(unpack_module(with_references(count)))
    assert told.reference_count == count


@pytest.mark.parametrize("count", [-2, REFCOUNT_MAX + 1])
def test_more_references_are_nonsense(count: int) -> None:
    with pytest.raises(ProtocolError):
        unpack_module(with_references(count))


def test_all_permission_bits_of_a_parameter_are_told() -> None:
    details = unpack_details(with_mode(MODE_MAX))
    assert details is not None
    assert parameter_message(DescribedParameter(details.parameters[0])).mode == MODE_MAX


@pytest.mark.parametrize("mode", [-1, MODE_MAX + 1, 1 << 40])
def test_other_bits_are_nonsense(mode: int) -> None:
    with pytest.raises(ProtocolError):
        unpack_details(with_mode(mode))

# SPDX-License-Identifier: Apache-2.0
"""Modules of Debian's kernels, with the signatures of their builds, and their own certificates."""

import errno
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from kmodd.errors import KernelError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import EmulatedKernel, VmlinuxSource
from kmodd.modulefile import ModuleFile
from tests.support.debian import DebianTree

SAMPLE_SIZE = 20
ENFORCED = "module.sig_enforce"


@pytest.fixture(scope="module")
def source(each_kernel: DebianTree) -> VmlinuxSource:
    return VmlinuxSource(each_kernel.root, each_kernel.release, each_kernel.directory.parent, dict)


@pytest.fixture(scope="module")
def modules(each_kernel: DebianTree) -> tuple[bytes, ...]:
    """Modules that need no other, drawn by lot, the same each time."""
    paths = sorted(each_kernel.directory.rglob("*.ko*"))
    random.Random(19).shuffle(paths)
    return tuple(islice(_alone(paths), SAMPLE_SIZE))


def _alone(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with ModuleFile.open(str(path)) as file:
            if not file.modinfo_get("depends"):
                yield file.image


def signed_size(image: bytes) -> int:
    """Return how many bytes of a module are signed."""
    signature = ModuleFile.parse(image).signature()
    assert signature is not None
    return signature.module_size


def booted(source: VmlinuxSource, command_line: str = "") -> EmulatedKernel:
    return EmulatedKernel(source().release, source, command_line=command_line, run_code=False)


def refusal(kernel: EmulatedKernel, image: bytes) -> KernelError:
    with pytest.raises(KernelError) as refused:
        kernel.init_module(image, "", InsertFlags.NONE)
    return refused.value


def test_debians_modules_verify(source: VmlinuxSource, modules: tuple[bytes, ...]) -> None:
    kernel = booted(source, ENFORCED)
    for image in modules:
        kernel.init_module(image, "", InsertFlags.NONE)
    assert len(kernel.modules()) == SAMPLE_SIZE
    assert "E" not in {taint for module in kernel.modules() for taint in module.taints}


@pytest.mark.parametrize("command_line", ["", ENFORCED])
def test_a_bit_that_is_flipped_is_seen(
    source: VmlinuxSource, modules: tuple[bytes, ...], command_line: str
) -> None:
    """Debian's 6.1 and 6.12 refuse them with that errno, whether signatures are enforced or not."""
    dice, kernel = random.Random(6), booted(source, command_line)
    for image in modules:
        size = signed_size(image)
        changed = bytearray(image)
        changed[dice.randrange(size)] ^= 1 << dice.randrange(8)
        assert refusal(kernel, bytes(changed)).errno == errno.EKEYREJECTED
    assert kernel.modules() == ()


def test_a_signature_that_is_taken_away_is_missed(
    source: VmlinuxSource, modules: tuple[bytes, ...]
) -> None:
    image = modules[0][: signed_size(modules[0])]
    kernel = booted(source)
    kernel.init_module(image, "", InsertFlags.NONE)
    assert "E" in kernel.modules()[0].taints
    error = refusal(booted(source, ENFORCED), image)
    assert error.errno == errno.EKEYREJECTED
    assert error.log == ("Loading of unsigned module is rejected",)

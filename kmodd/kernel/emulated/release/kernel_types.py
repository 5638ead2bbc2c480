# SPDX-License-Identifier: Apache-2.0
"""Where it is known from how a release's structures are laid out.

Its image says it, or else the kernel that this machine runs, if it is of that release, or else a
``vmlinux`` of its headers, its build or its package for debuggers. A layout of another release is
never taken.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from kmodd.errors import KernelImageError
from kmodd.kernel.emulated.abi.structures import QUESTIONS
from kmodd.kernelimage.facts import ImageFacts
from kmodd.kernelimage.kept import ImageKeeper, facts_of
from kmodd.kernelimage.places import RUNNING_TYPES, TYPES_PLACES, find_in_root
from kmodd.kernelimage.questions import Answers

EMULATED_MACHINE = "x86_64"
"""The machine whose code is run, as uname(2) has it: there is use for the types of no other."""

log = logging.getLogger(__name__)


class KernelTypes(NamedTuple):
    """What a kernel's types answer: ``layouts`` and the variables ``per_cpu``, with their bytes.

    ``prototypes`` are words for what its functions take and return (kernelimage.prototypes).
    ``layouts`` is None where nothing tells, and ``untold`` says why.
    """

    layouts: Answers | None
    per_cpu: Mapping[str, int]
    prototypes: Mapping[str, str]
    untold: str = ""


def types_of(
    image: ImageFacts | None,
    why_no_image: str,
    root: Path,
    release: str,
    images: ImageKeeper | None,
) -> KernelTypes:
    """Return what is known of the release's types; what is of no use is told to the log.

    ``why_no_image`` says why there is no ``image``; what other files answer is kept in ``images``.
    """
    why = why_no_image
    if image is not None:
        if _tells(image):
            return KernelTypes(image.layouts, image.per_cpu, image.prototypes)
        why = "the kernel's image has no types (.BTF)"
    for path in _places(root, release):
        try:
            facts = facts_of(str(path), images, QUESTIONS, types_of=release)
        except KernelImageError as error:
            log.warning("the kernel's types are not to be had: %s", error.message)
            why = error.message
            continue
        if _tells(facts):
            log.info("the structures of %s are as %s has them", release, path)
            return KernelTypes(facts.layouts, facts.per_cpu, facts.prototypes)
        why = f"{path} does not list the variables of each processor"
    return KernelTypes(None, {}, {}, why)


def _tells(facts: ImageFacts) -> bool:
    """Tell whether there is all that code has in it: also which variables are a processor's own."""
    return facts.layouts is not None and bool(facts.per_cpu)


def _places(root: Path, release: str) -> Iterator[Path]:
    running, machine = os.uname().release, os.uname().machine
    if release == running and machine == EMULATED_MACHINE and os.access(RUNNING_TYPES, os.R_OK):
        yield Path(RUNNING_TYPES)
    for place in TYPES_PLACES:
        path = find_in_root(root, release, (place,))
        if path is not None:
            yield path

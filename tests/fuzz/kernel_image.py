# SPDX-License-Identifier: Apache-2.0
"""A kernel's image, packed or not, and the BTF in it: facts that can be kept, or the one error."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kmodd.errors import KernelImageError
from kmodd.kernelimage.btf import Btf, Layouts
from tests.fuzz.fuzzer import Fuzzer, Target
from tests.support.image_questions import TYPES, ask, ask_types, images


@contextmanager
def opened() -> Iterator[Target]:
    """Have a file for the image."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "vmlinuz")

        def target(data: bytes) -> None:
            if data.startswith(TYPES[:2]):  # types alone, which are in each image
                try:
                    ask_types(Layouts(Btf(data, "image")))
                except KernelImageError:
                    return
            path.write_bytes(data)
            ask(str(path))

        yield target


FUZZER = Fuzzer(opened=opened, seeds=lambda: (TYPES, *images()[2:]), longest=8192, memory=512 << 20)

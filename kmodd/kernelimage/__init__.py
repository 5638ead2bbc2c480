# SPDX-License-Identifier: Apache-2.0
"""Read a kernel's image: what it exports, trusts, and is made of, in its own word.

Nothing here knows an emulator, a daemon or a thread. Whatever an image claims is checked before it
is used: the only error is KernelImageError, and time and memory are bounded. What is unpacked is in
memory of its own, which is given back before anything is answered.

places                      where a root has the image of a release
payload, unpacking, lz4     from the file that boots to the kernel in it
sections                    the kernel's sections by name and by address
exports, parameters,
certificates, words         what some of them say
btf/, questions             the kernel's types, and what is asked of them
facts, kept                 all that is asked of an image, and how it is kept
"""

from kmodd.kernelimage.facts import ImageFacts, layouts_of, opened, read_facts
from kmodd.kernelimage.kept import ImageKeeper, facts_of
from kmodd.kernelimage.places import find_image
from kmodd.kernelimage.questions import Answers, LayoutQuestion, answer

__all__ = [
    "Answers",
    "ImageFacts",
    "ImageKeeper",
    "LayoutQuestion",
    "answer",
    "facts_of",
    "find_image",
    "layouts_of",
    "opened",
    "read_facts",
]

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
prototypes                  what its functions take and return, in a word each
reading                     all that is asked of an image
facts, kept                 the answers, and how they are kept

Each is taken from its own module: what unpacks an image takes a while to import.
"""

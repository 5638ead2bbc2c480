# SPDX-License-Identifier: Apache-2.0
"""Module files that were loaded lately, with what was found out about them.

A distribution's modules need a few hundred others over and over: of the 14,000 loads by which
Debian's go in one after the other (``tests.bench modules``) 9,500 are of a file that is here. What
the file alone decides is found out at the first of them.
"""

import threading
from collections import OrderedDict

from kmodd.kernel.emulated.modules.load_info import LoadInfo
from kmodd.kernel.emulated.release.vmlinux import Vmlinux

LARGEST = 4 << 20
"""Bytes of the largest image that is kept. Those of mac80211 and cfg80211 have 2.5 MB, and a
hundred of Debian's modules need them."""

ROOM = 12 << 20
"""Bytes of all images that are kept; what was found out about them is up to twice that again."""


class ImageCache:
    """The files by their images, the one used last at the end; all of one Vmlinux.

    ``_lock`` guards the fields.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vmlinux: Vmlinux | None = None
        self._files: OrderedDict[bytes, LoadInfo] = OrderedDict()
        self._size = 0

    def take(self, image: bytes, vmlinux: Vmlinux) -> LoadInfo | None:
        """Return the file with that image, which is the caller's alone until it is put back."""
        with self._lock:
            self._keep_those_of(vmlinux)
            found = self._files.pop(image, None)
            if found is not None:
                self._size -= len(image)
        return found

    def put_back(self, image: bytes, file: LoadInfo) -> None:
        """Keep a file for the next load of it."""
        if len(image) > LARGEST:
            return
        with self._lock:
            self._keep_those_of(file.vmlinux)
            if image not in self._files:
                self._size += len(image)
            self._files[image] = file
            while self._size > ROOM:
                oldest, _ = self._files.popitem(last=False)
                self._size -= len(oldest)

    def _keep_those_of(self, vmlinux: Vmlinux) -> None:
        """Forget what was found out in a kernel that has changed since."""
        if vmlinux is not self._vmlinux:
            self._vmlinux, self._size = vmlinux, 0
            self._files.clear()

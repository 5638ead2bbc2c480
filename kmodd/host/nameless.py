# SPDX-License-Identifier: Apache-2.0
"""A socket that listens and has no name any more: it is reached by its descriptor alone."""

import os
import secrets
from collections.abc import Callable
from tempfile import TemporaryDirectory

from kmodd.host.directories import by_descriptor
from kmodd.host.socket_lock import lock_directory


def nameless(bind: Callable[[str], object]) -> int:
    """Return an O_PATH descriptor of the socket that ``bind`` makes at the path it is given.

    That is in a directory of nobody else's, which is removed at once. Connect to it by
    ``by_descriptor``. Raises OSError, and what ``bind`` raises.
    """
    with TemporaryDirectory(dir=lock_directory(), prefix="server-") as directory:
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            path = f"{by_descriptor(place)}/{secrets.token_hex(4)}"
            bind(path)
            return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        finally:
            os.close(place)

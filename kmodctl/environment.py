# SPDX-License-Identifier: Apache-2.0
"""The environment, as far as it may have a say."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_AT_NULL, _AT_SECURE = 0, 23
"""Entries of the auxiliary vector (getauxval(3))."""

_WORD = 8 if os.sysconf("SC_LONG_BIT") == 64 else 4
"""Bytes of an entry's type, and of its value."""

_OWN_PREFIX = "KMODD_"

_OTHERS = ("MODPROBE_OPTIONS", "XDG_RUNTIME_DIR")
"""What else tells us whom to ask, or what."""


def has_more_rights_than_its_caller() -> bool:
    """Tell whether who called this program gave it an environment, but not the rights that it has.

    So it is in a program with the set-user-ID bit, or with capabilities of its file's: the real
    user or group is not the one in force, or the kernel said so when it began (AT_SECURE).
    """
    if os.getuid() != os.geteuid() or os.getgid() != os.getegid():
        return True
    try:
        with open("/proc/self/auxv", "rb") as file:
            return _is_secure(file.read())
    except PermissionError:  # the kernel hides what has more rights from its caller
        return True
    except OSError:  # there is no /proc
        return False


def _is_secure(vector: bytes, word: int = _WORD) -> bool:
    """Tell what an auxiliary vector says of AT_SECURE (proc(5), auxv)."""
    from sys import byteorder

    numbers = [
        int.from_bytes(vector[at : at + word], byteorder) for at in range(0, len(vector), word)
    ]
    for kind, value in zip(numbers[::2], numbers[1::2], strict=False):
        if kind == _AT_SECURE:
            return value != 0
        if kind == _AT_NULL:
            break
    return False


def environment() -> "Mapping[str, str]":
    """Return the environment that counts.

    Where the program has more rights than its caller, nothing there says which daemon is asked,
    which program is executed, or what else modprobe is to do.
    """
    if not has_more_rights_than_its_caller():
        return os.environ
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OWN_PREFIX) and name not in _OTHERS
    }

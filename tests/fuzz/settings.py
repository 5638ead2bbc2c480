# SPDX-License-Identifier: Apache-2.0
"""kmodd.toml and a drop-in: settings, or the one error with a line for each complaint."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kmodd.errors import Reason, RequestError
from kmodd.settings import Settings
from kmodd.settings.toml import SETTINGS, Value, read_settings
from kmodd.settings.words import grant_words, socket_words
from tests.fuzz.fuzzer import Fuzzer, Target

DIVIDER = b"\n#---\n"
"""What an input has between the file and its drop-in."""

SEEDS = (
    "kernel = 'linux'\nroot = '/srv/root'\nrun_code = false\nmodprobe_config = ['/a', '/b']\n",
    "[[deny]]\nmodules = ['nouveau', 'radeon*']\nreason = 'none'\n[[deny]]\nbuild_id = 'abcd'\n",
    "[[socket]]\npath = '/run/a/s'\nrole = 'loader'\nowner = 1000\nallow = ['x']\nmode = 0o660\n",
    "a = " + "[" * 2000,
    "[[socket]]\npath = '/a/s'\ngrants = true\n[[grant]]\nuser = 'x'\nrole = 'observer'\n",
    "[limits]\nstreams = 16\nupload_idle = 2.5\n\n#---\nlog_level = 'debug'\n",
)


@contextmanager
def opened() -> Iterator[Target]:
    """Have a file of settings and a directory of drop-ins."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "kmodd.toml")
        drop_in = Path(directory, "kmodd.toml.d", "x.toml")
        drop_in.parent.mkdir()

        def target(data: bytes) -> None:
            first, _, second = data.partition(DIVIDER)
            file.write_bytes(first)
            drop_in.write_bytes(second)
            look(file)

        yield target


def look(file: Path) -> None:
    """Read the settings, and see that an error names its file, and that settings can be told."""
    try:
        settings = read_settings(file, Settings(root=Path("/")))
    except RequestError as error:
        if error.reason is not Reason.INVALID_REQUEST or not error.message.startswith(str(file)):
            raise AssertionError("an error that does not name its file") from error
        return
    for socket in settings.sockets:
        assert socket_words(socket)
    for grant in settings.grants:
        assert grant_words(grant)


def words() -> Iterator[str]:
    """Yield the names of all settings, and what they may be."""
    for name, wanted in SETTINGS.items():
        tables = wanted if isinstance(wanted, list) else [wanted]
        for table in tables:
            if isinstance(table, Value):
                yield f"{name} = "
            else:
                yield from (f"[{name}]\n", f"[[{name}]]\n", *(f"{each} = " for each in table))
    yield from ("true", "'admin'", "'observer'", "'loader'", "0o600", "1e9", "inf", "nan", "[]")
    yield from ("'/a/b'", "'linux'", "1979-05-27", '"""', "{a = 1}", "-1", DIVIDER.decode())


FUZZER = Fuzzer(
    opened=opened, seeds=lambda: (each.encode() for each in SEEDS), words=tuple(words())
)

# SPDX-License-Identifier: Apache-2.0
"""/sys/module/NAME/parameters: the parameters of a loaded module, to read and to set."""

from pathlib import Path

from kmodd.kernel.base import ParameterValue
from kmodd.kernel.linux.system import System


def read_parameters(system: System, directory: Path) -> tuple[ParameterValue, ...]:
    """Return the parameters that a module shows, by name; the module may go meanwhile."""
    try:
        files = system.read_directory(directory)
    except OSError:
        return ()
    return tuple(ParameterValue(file.name, _text(file.contents), file.mode) for file in files)


def write_parameter(system: System, modules: Path, module: str, name: str, value: str) -> None:
    """Write a value, which takes one call: each write is one to the parameter.

    ``modules`` is /sys/module. An empty value is a newline, as a write of nothing does nothing.
    Raises UnopenedFileError where there is no such file to write to, and OSError with the errno
    that the parameter's setter gives.
    """
    data = value.encode("utf-8", "surrogateescape") or b"\n"
    system.write_below(modules, (module, "parameters", name), data)


def _text(shown: bytes | None) -> str | None:
    """Return what a file shows, None where it shows nothing to anybody or not to us."""
    return None if shown is None else shown.decode("utf-8", "surrogateescape").removesuffix("\n")

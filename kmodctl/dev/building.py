# SPDX-License-Identifier: Apache-2.0
"""Builds modules as Kbuild does, and tells which there are, in the order in which they load."""

import os
from graphlib import CycleError, TopologicalSorter

from kmodctl.errors import KmodctlError
from kmodctl.local import inspect

_BREAKING = " \t\n:#$\"'\\"
"""What a directory cannot have in its name: make takes it for its own."""


class BuildError(KmodctlError):
    """What cannot be built, or what was built and cannot be told; the message says why."""

    reason = "NOT_BUILT"


class BuiltModule:
    """A module that was built: its name, its file, what it needs, and its parameters' names."""

    __slots__ = ("depends", "name", "parameters", "path")

    def __init__(
        self, name: str, path: str, depends: tuple[str, ...], parameters: tuple[str, ...]
    ) -> None:
        self.name = name
        self.path = path
        self.depends = depends
        self.parameters = parameters


def make_command(headers: str, directory: str) -> list[str]:
    """Return what builds the modules of ``directory`` in a build directory.

    Raises BuildError where make cannot be told of ``directory``.
    """
    breaking = next((each for each in directory if each in _BREAKING), "")
    if breaking:
        raise BuildError(f"make cannot build in {directory}: it has {breaking!r} in its path")
    jobs = f"-j{os.cpu_count() or 1}"
    return [*("make", "-s", "--no-print-directory", jobs), "-C", headers, f"M={directory}"]


def built_modules(directory: str) -> list[BuiltModule]:
    """Return the modules that the last build in ``directory`` made, each behind what it needs.

    Kbuild lists them in modules.order, by their objects from Linux 6.4 on. Raises BuildError.
    """
    try:
        with open(os.path.join(directory, "modules.order"), encoding="utf-8") as file:
            listed = [os.path.splitext(line.strip())[0] for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{directory}: the build has left no list of modules: {error}") from None
    if not listed:
        raise BuildError(f"{directory}: nothing is built; Kbuild has no 'obj-m := NAME.o'")
    found = {each.name: each for each in (_read(f"{path}.ko", directory) for path in listed)}
    needs = {name: [each for each in found[name].depends if each in found] for name in found}
    try:
        return [found[name] for name in TopologicalSorter(needs).static_order()]
    except CycleError as error:
        raise BuildError(f"{' needs '.join(error.args[1])}: they need each other") from None


def parameters_for(modules: list[BuiltModule], given: list[str]) -> dict[str, list[str]]:
    """Return each module's parameters of those that are given as NAME=VALUE or MODULE.NAME=VALUE.

    Those without a module are for all that have one of the name. Raises BuildError where none has.
    """
    chosen: dict[str, list[str]] = {module.name: [] for module in modules}
    for word in given:
        name, equals, value = word.partition("=")
        owner, _, parameter = name.replace("-", "_").rpartition(".")
        takers = [
            module.name
            for module in modules
            if parameter in module.parameters and owner in ("", module.name)
        ]
        if not takers:
            names = " and ".join(module.name for module in modules if owner in ("", module.name))
            raise BuildError(f"no parameter {parameter} of {names or owner}")
        for taker in takers:
            chosen[taker].append(f"{parameter}{equals}{value}")
    return chosen


def _read(path: str, directory: str) -> BuiltModule:
    path = os.path.join(directory, path)
    try:
        info = inspect(path, symbols=False)
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}") from None
    if info.error:
        raise BuildError(f"{path}: {info.error}")
    values: dict[str, list[str]] = {}
    for field in info.fields:
        values.setdefault(field.key, []).append(field.value)
    (depends,) = values.get("depends", [""])[:1]
    kinds = [text.partition(":")[0] for text in values.get("parmtype", [])]
    return BuiltModule(
        info.name,
        path,
        tuple(each.replace("-", "_") for each in depends.split(",") if each),
        tuple(each.replace("-", "_") for each in kinds),
    )

# SPDX-License-Identifier: Apache-2.0
"""Parameters: whether those of a request can be handed on, and what loaded modules have."""

import errno
import re
from collections.abc import Iterator
from operator import attrgetter

from kmodd.database import Database
from kmodd.desired.values import is_same_value
from kmodd.errors import Reason, RequestError, StateError
from kmodd.kernel.base import Kernel, ModuleDetails, ParameterValue
from kmodd.modulefile import parameters_of
from kmodd.names import module_name
from kmodd.queries.modinfo import info_of_record
from kmodd.records import record

VALUE_MAX = 4095
"""Bytes of the longest value of a loaded module's parameter: a page of sysfs, less a NUL."""

_ARGUMENT = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


@record
class IgnoredParameter:
    """A parameter given for a module that is in the kernel already.

    ``in_force`` is the value that it has there, None where that is not known. One that is
    ``private`` not everybody may read.
    """

    module: str
    given: str
    in_force: str | None
    private: bool = False


@record
class DescribedParameter:
    """A parameter of a loaded module, and what the module's file in the tree says of it.

    ``type`` and ``description`` are empty where there is no such file, or not of this build.
    """

    shown: ParameterValue
    type: str = ""
    description: str = ""


def described_parameters(
    details: ModuleDetails, database: Database | None
) -> tuple[DescribedParameter, ...]:
    """Return the parameters of ``details`` by name, with what ``database``'s file says of them."""
    declared = _declared(details, database) if details.parameters and database else {}
    return tuple(
        DescribedParameter(shown, *declared.get(shown.name, ()))
        for shown in sorted(details.parameters, key=attrgetter("name"))
    )


def _declared(details: ModuleDetails, database: Database) -> dict[str, tuple[str, str]]:
    """Return the type and the description of each parameter that the module's file declares."""
    record = database.module(module_name(details.module.name))
    if record is None:
        return {}
    fields = info_of_record(record, database).fields
    build = dict(fields).get("srcversion")
    if details.source_version is not None and build != details.source_version:
        return {}
    return {each.name: (each.type, each.description) for each in parameters_of(fields)}


def store_parameter(kernel: Kernel, details: ModuleDetails, name: str, value: str) -> str:
    """Set a parameter of a loaded module; dashes and underscores in ``name`` are the same.

    Returns the name as the kernel has it. Raises RequestError (INVALID_PARAMETER), StateError
    (PARAMETER_NOT_FOUND), and what the kernel has against it.
    """
    module = details.module.name
    if "\0" in value:
        raise RequestError(Reason.INVALID_PARAMETER, "a NUL byte in the value", module=module)
    if len(value.encode("utf-8", "surrogateescape")) > VALUE_MAX:
        raise RequestError(
            Reason.INVALID_PARAMETER,
            f"a value of more than {VALUE_MAX} bytes",
            errno=errno.E2BIG,
            module=module,
        )
    wanted = name.replace("-", "_")
    names = (each.name for each in details.parameters)
    found = next((each for each in names if each.replace("-", "_") == wanted), None)
    if found is None:
        why = f"module {module} shows no parameter {name[:VALUE_MAX]!r}"
        raise StateError(Reason.PARAMETER_NOT_FOUND, why, module=module, detail=name)
    kernel.set_parameter(module, found, value)
    return found


def arguments_of(text: str) -> list[str]:
    """Return the parameters in ``text`` as the kernel parts them, with their quotes."""
    return _ARGUMENT.findall(text)


def ignored_parameters(kernel: Kernel, module: str, text: str) -> Iterator[IgnoredParameter]:
    """Yield the parameters of ``text`` that the kernel's ``module`` does not have as given."""
    details = kernel.details(module)
    known = {each.name: each for each in details.parameters} if details else {}
    for given in arguments_of(text):
        name, equals, value = given.partition("=")
        shown = known.get(name.replace("-", "_"))
        in_force = shown.value if shown else None
        private = shown is not None and shown.is_private
        if in_force is None or not is_same_value(value.strip('"') if equals else "y", in_force):
            yield IgnoredParameter(module, given, in_force, private)

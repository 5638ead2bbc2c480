# SPDX-License-Identifier: Apache-2.0
"""param: show and set the parameters of a loaded module

Without a name, prints all parameters that the module shows, with their values, and what their
author says of them where the module's file is in the tree. NAME prints one value, NAME=VALUE sets
it. A parameter can be set where the module allows it; 'modinfo -p' tells of those that can only be
given to a load.
"""

import errno

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.api import Api
    from kmodd.messages.module_service import Parameter

WRITABLE = 0o222
"""The bits of a mode without any of which a parameter cannot be set."""


def configure(parser: Parser) -> None:
    """Add the arguments of param."""
    add = parser.add_argument
    add("module", metavar="MODULE", help="a loaded module's name")
    add("words", metavar="NAME[=VALUE]", nargs="*", help="a parameter, and what to set it to")


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the parameters, or do what the words say, in order."""
    if not options.words:
        parameters = _parameters(options.module, api)
        _list(parameters, output)
        _tell_unknown(parameters, api, output)
        return 0
    found = []
    for word in options.words:
        name, equals, value = word.partition("=")
        if equals:
            found.append(_set(options.module, name, value, api))
            continue
        parameter = _named(name, _parameters(options.module, api))
        if parameter is None:
            why = f"module {options.module} shows no parameter '{name}'"
            raise CallError("PARAMETER_NOT_FOUND", why, errno=errno.ENOENT, module=options.module)
        found.append(parameter)
        if not output.json:
            output.data(_value(parameter))
    if output.json:
        output.messages(found)
    return 0


def _parameters(module: str, api: "Api") -> "list[Parameter]":
    from kmodd.messages.module_service import GetParametersRequest

    return api.modules.get_parameters(GetParametersRequest(module=module)).parameters


def _set(module: str, parameter: str, value: str, api: "Api") -> "Parameter":
    """Set a parameter, and return it as the kernel then shows it."""
    from kmodd.messages.module_service import Parameter, SetParameterRequest

    request = SetParameterRequest(module=module, parameter=parameter, value=value)
    return api.modules.set_parameter(request).parameter or Parameter()


def _named(name: str, parameters: "list[Parameter]") -> "Parameter | None":
    wanted = name.replace("-", "_")
    return next((each for each in parameters if each.name.replace("-", "_") == wanted), None)


def _list(parameters: "list[Parameter]", output: Output) -> None:
    if output.json:
        output.messages(parameters)
        return
    for parameter in parameters:
        facts = ", ".join(_facts(parameter))
        said = f" {parameter.description}" if parameter.description else ""
        output.data(f"{parameter.name}={_value(parameter)}  ({facts}){said}")


def _tell_unknown(parameters: "list[Parameter]", api: "Api", output: Output) -> None:
    """Say why values are not known where that is for all that only code can tell."""
    if all(each.value is not None for each in parameters):
        return
    status = api.status()
    if not status.runs_init:
        output.warning(f"only a module's code can tell the rest: {status.why_not_run}")


def _facts(parameter: "Parameter") -> "Iterator[str]":
    if parameter.type:
        yield parameter.type
    yield "can be set" if parameter.mode & WRITABLE else "read only"
    if parameter.value is None:
        yield "value not known"


def _value(parameter: "Parameter") -> str:
    return "?" if parameter.value is None else parameter.value

# SPDX-License-Identifier: Apache-2.0
"""The parameters that a module had, for the build that takes its place."""

from collections.abc import Iterable, Iterator, Mapping

from kmodd.desired.values import is_same_value
from kmodd.kernel.base import ParameterValue
from kmodd.kernel.file_parameters import FileParameter
from kmodd.namespace.parameters import arguments_of
from kmodd.records import record

NO_STRING = "(null)"
"""What a string shows that was given none."""


@record
class CarriedParameter:
    """A parameter and the value that it showed; one that is ``private`` not everybody may read."""

    name: str
    value: str
    private: bool = False

    @property
    def argument(self) -> str:
        """The two as a load takes them, in quotes where they would fall apart."""
        is_one_word = all("!" <= letter <= "~" for letter in self.value)
        value = self.value if is_one_word else f'"{self.value}"'
        return f"{self.name}={value}"


@record
class CarriedParameters:
    """What of a module's parameters is ``given`` to the next build beside what the configuration
    has for it, and which of them are ``left``, as they show something that cannot be given.
    """

    given: tuple[CarriedParameter, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The parameters as a load takes them."""
        return " ".join(each.argument for each in self.given)


def carried(
    shown: Iterable[ParameterValue], configured: str, file: Mapping[str, FileParameter]
) -> CarriedParameters:
    """Return what is to be given of the parameters that a module shows.

    ``configured`` is what the configuration gives it, ``file`` are the parameters of the file that
    takes its place. What comes out the same without being given is not; what cannot be read is the
    configuration's.
    """
    words = (each.partition("=") for each in arguments_of(configured))
    usual = {
        name.replace("-", "_"): value.strip('"') if equals else "y" for name, equals, value in words
    }
    given: list[CarriedParameter] = []
    left: list[str] = []
    for name, value, is_private in _readable(shown):
        parameter = file.get(name)
        if parameter is None:
            left.append(name)
            continue
        before = usual.get(name, parameter.value)
        if before is not None and is_same_value(before, value):
            continue
        if _can_be_given(parameter, value):
            given.append(CarriedParameter(name, value, is_private))
        else:
            left.append(name)
    return CarriedParameters(tuple(given), tuple(left))


def _readable(shown: Iterable[ParameterValue]) -> Iterator[tuple[str, str, bool]]:
    for each in shown:
        if each.value is not None:
            yield each.name.replace("-", "_"), each.value, each.is_private


def _can_be_given(parameter: FileParameter, value: str) -> bool:
    """Tell whether a load would take a value for what it is."""
    is_string = parameter.kind in ("charp", "string")
    if not parameter.takes_what_it_shows or '"' in value or "\n" in value:
        return False
    return NO_STRING not in value if is_string else bool(value)

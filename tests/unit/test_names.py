# SPDX-License-Identifier: Apache-2.0
"""How names are spelled."""

import pytest

from kmodd.errors import Reason, RequestError
from kmodd.names import (
    ALIAS_MAX,
    check_query,
    module_name,
    module_name_of_path,
    normalise_alias,
)


@pytest.mark.parametrize(
    ("given", "name"),
    [("snd-hda-intel", "snd_hda_intel"), ("ext4.ko.xz", "ext4"), ("", ""), ("a.b.c", "a")],
)
def test_a_module_name_has_underscores_and_ends_at_a_dot(given: str, name: str) -> None:
    assert module_name(given) == name


def test_a_module_is_named_by_its_file() -> None:
    assert module_name_of_path("kernel/sound-x/snd-hda-intel.ko.zst") == "snd_hda_intel"


@pytest.mark.parametrize(
    ("given", "alias"),
    [
        ("usb:v0bda-p*", "usb:v0bda_p*"),
        ("of:N-x[a-z]T-y", "of:N_x[a-z]T_y"),
        ("[a-b][c-d]-", "[a-b][c-d]_"),
        ("plain", "plain"),
    ],
)
def test_dashes_stay_within_brackets_alone(given: str, alias: str) -> None:
    assert normalise_alias(given) == alias


@pytest.mark.parametrize("alias", ["a]b", "a[b", "[", "]", "[a]]"])
def test_a_bracket_without_a_partner_is_refused(alias: str) -> None:
    with pytest.raises(RequestError, match="unmatched bracket") as refused:
        normalise_alias(alias)
    assert refused.value.reason is Reason.INVALID_NAME


@pytest.mark.parametrize("name", ["", "a\0b", "x" * (ALIAS_MAX + 1)])
def test_a_request_names_something(name: str) -> None:
    with pytest.raises(RequestError):
        check_query(name)

# SPDX-License-Identifier: Apache-2.0
"""What check-config says of sockets that the service could not have."""

import shutil
from pathlib import Path

from kmodd.host.socket_checks import faults, unit_doubts
from kmodd.host.unit import NAME, installed_unit
from kmodd.settings import SocketSettings

SHIPPED = Path(__file__).parents[2] / "systemd"


def unit_places(tmp_path: Path, drop_in: str = "") -> tuple[Path, ...]:
    """Return where a manager would find the shipped unit, with a drop-in in another place."""
    important, usual = tmp_path / "etc", tmp_path / "lib"
    usual.mkdir()
    shutil.copy(SHIPPED / NAME, usual / NAME)
    if drop_in:
        (important / f"{NAME}.d").mkdir(parents=True)
        (important / f"{NAME}.d" / "override.conf").write_text(f"[Service]\n{drop_in}\n")
    return important, usual


def said(settings: SocketSettings, places: tuple[Path, ...]) -> list[str]:
    unit = installed_unit(places)
    assert unit is not None
    return [line.removeprefix(f"{settings.path}: ") for line in unit_doubts(settings, unit)]


SOCKET = Path("/run/kmodd/loader/kmodd.sock")


def test_a_socket_of_the_services_own_is_in_no_doubt(tmp_path: Path) -> None:
    assert said(SocketSettings(path=SOCKET), unit_places(tmp_path)) == []
    assert said(SocketSettings(path=SOCKET, owner=0, group="root"), (tmp_path / "lib",)) == []


def test_a_group_that_the_unit_does_not_have_is_named_with_the_line_it_takes(
    tmp_path: Path,
) -> None:
    (line,) = said(SocketSettings(path=SOCKET, group=4321), unit_places(tmp_path))
    assert "is not in the group 4321" in line
    assert line.endswith("takes SupplementaryGroups=4321")


def test_a_group_that_a_drop_in_adds_is_in_no_doubt(tmp_path: Path) -> None:
    places = unit_places(tmp_path, "SupplementaryGroups=4321")
    assert said(SocketSettings(path=SOCKET, group=4321), places) == []


def test_a_list_that_a_drop_in_empties_has_nothing_of_before(tmp_path: Path) -> None:
    drop_in = "SupplementaryGroups=4321\nSupplementaryGroups=\nSupplementaryGroups=77 \\\n 78"
    places = unit_places(tmp_path, drop_in)
    assert said(SocketSettings(path=SOCKET, group=78), places) == []
    assert said(SocketSettings(path=SOCKET, group=4321), places) != []


def test_a_directory_and_an_owner_beyond_the_unit_are_named(tmp_path: Path) -> None:
    lines = said(SocketSettings(path=tmp_path / "s", owner=4321), unit_places(tmp_path))
    assert [line.partition(":")[0] for line in lines] == [
        "kmodd.service may not give it to the owner 4321",
        "kmodd.service may not write there",
    ]


def test_a_unit_without_bounds_may_have_every_socket(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("[Service]\nExecStart=/opt/kmodd/bin/kmodd\n")
    settings = SocketSettings(path=tmp_path / "run" / "s", owner=4321, group=4321)
    assert said(settings, (tmp_path,)) == []


def test_without_a_unit_there_are_no_bounds(tmp_path: Path) -> None:
    assert installed_unit((tmp_path,)) is None


def test_everything_that_is_wrong_with_a_socket_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = SocketSettings(path=tmp_path / "file" / ("x" * 200), group="no-such-group")
    assert [line.partition(": ")[2].split(" ")[0] for line in faults(settings)] == [
        "the",
        "a",
        f"{tmp_path}/file",
    ]

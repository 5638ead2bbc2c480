# SPDX-License-Identifier: Apache-2.0
"""What check-config says of a socket that goes by grants, and of the grants."""

from pathlib import Path

import pytest

from kmodd.__main__ import main

SOCKETS = """
[[socket]]
path = "@/admin/s"

[[socket]]
path = "@/public/s"
role = "{role}"
mode = 0o666
grants = true
default = "{default}"
"""

GRANT = """
[[grant]]
role = "observer"
"""


def checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, *more: str
) -> tuple[list[str], list[str]]:
    """Check a file and its drop-ins; return the lines of its stdout but the first, and of stderr.

    ``@`` stands for the directory of the sockets, which the lines are told without.
    """
    config = tmp_path / "kmodd.toml"
    config.write_text(text.replace("@", str(tmp_path)))
    (tmp_path / "kmodd.toml.d").mkdir()
    for number, each in enumerate(more):
        (tmp_path / "kmodd.toml.d" / f"{number}.toml").write_text(each)
    assert main(["check-config", "--config", str(config)]) == 0
    printed = capsys.readouterr()
    out, err = (each.replace(f"{tmp_path}/", "").splitlines() for each in printed)
    assert out[0] == "kmodd.toml is right"
    return out[1:], err


@pytest.mark.parametrize(("role", "default"), [("admin", "none"), ("loader", "observer")])
def test_the_grants_are_said_to_decide_at_their_socket_and_at_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], role: str, default: str
) -> None:
    text = SOCKETS.format(role=role, default=default)
    assert checked(tmp_path, capsys, text) == (
        [
            "admin/s has the role admin and the mode 0600",
            "public/s has the mode 0666, and the grants decide who has which role there: at most "
            f"{role}, which root has, and {default} where no grant fits",
        ],
        [],
    )


def test_the_grants_of_all_files_are_listed_in_the_order_in_which_they_are_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SOCKETS.format(role="loader", default="none")
    first = '[[grant]]\nrole = "none"\nusers = ["root", 3001]\n'
    first += (
        '[[grant]]\nrole = "loader"\ngroups = [4001]\nunits = ["net*.service", "vpn.service"]\n'
    )
    first += 'allow = ["wireguard", "nf_*"]\n'
    second = '[[grant]]\nrole = "loader"\ncontainers = ["web-*"]\nallow = ["ip_vs*"]\n'
    second += 'deny = ["ip_vs_ftp", "ip_vs_sh"]\nparameters = true\n'
    out, err = checked(tmp_path, capsys, text, first, second)
    assert out[2:] == [
        "grant 1: none where the user is root or 3001",
        "grant 2: loader where the group is 4001 and the unit is net*.service or vpn.service, "
        "for wireguard or nf_*, without parameters",
        "grant 3: loader where the container is web-*, for ip_vs* but not ip_vs_ftp or ip_vs_sh, "
        "with parameters",
    ]
    assert err == []


def test_a_user_and_a_group_that_nobody_has_are_named_with_the_line_of_their_grant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SOCKETS.format(role="loader", default="none")
    text += GRANT + 'users = ["root", "no-such-user"]\n'
    out, err = checked(
        tmp_path, capsys, text, GRANT + 'groups = ["root"]\n' + GRANT + 'groups = ["no-such"]\n'
    )
    assert err == [
        "kmodd: warning: kmodd.toml:12: a grant is for the user 'no-such-user', which is not known "
        "here",
        "kmodd: warning: kmodd.toml.d/0.toml:6: a grant is for the group 'no-such', which is not "
        "known here",
    ]
    assert [line.partition(":")[0] for line in out[2:]] == ["grant 1", "grant 2", "grant 3"]


def test_hotplug_is_for_the_linux_kernel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warning = "kmodd: warning: kmodd.toml: hotplug is for the linux kernel"
    assert checked(tmp_path, capsys, "hotplug = true\n")[1] == [warning]
    (tmp_path / "kmodd.toml.d").rmdir()
    linux = 'hotplug = true\nkernel = "linux"\n'
    assert warning not in checked(tmp_path, capsys, linux)[1]

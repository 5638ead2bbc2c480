# SPDX-License-Identifier: Apache-2.0
"""The Debian package from its installation to its end, in Debian 12 and in Debian 13."""

import pytest

from tests.realkernel.boots import Outcomes
from tests.realkernel.package_setup import NEXT

OF_OTHERS = (
    *("./etc/.pwd.lock", "./etc/.updated", "./etc/group", "./etc/gshadow", "./etc/ld.so.cache"),
    *("./var/.updated", "./var/cache/ldconfig/", "./var/lib/dpkg/", "./var/log/"),
    *("./var/lib/systemd/catalog/", "./var/lib/systemd/random-seed"),
)
"""What dpkg, the tools for groups and systemd write of themselves."""


def said(life: Outcomes, name: str) -> list[str]:
    """The words of a value."""
    words = life.of(name)["said"]
    assert isinstance(words, list)
    return words


def test_it_came_to_its_end(life: Outcomes) -> None:
    assert said(life, "ended") == ["yes"]


def test_an_installation_starts_the_service(life: Outcomes) -> None:
    assert said(life, "installed: active") == ["active"]
    assert said(life, "installed: enabled") == ["enabled", "disabled"]
    assert said(life, "installed: groups") == ["kmodd-observer", "kmodd-loader"]
    status = said(life, "installed: status")
    assert {"(linux)", "admin", "published"} <= set(status)


def test_a_module_is_loaded_by_it(life: Outcomes) -> None:
    assert "minix" in said(life, "installed: loaded")


def test_an_upgrade_starts_the_next_version_and_keeps_modules_and_settings(
    life: Outcomes,
) -> None:
    assert said(life, "upgraded: active") == ["active"]
    status = " ".join(said(life, "upgraded: status"))
    assert f"kmodd {NEXT}," in status
    assert " 1 asked for" in status
    assert "minix" in said(life, "upgraded: listed")
    assert said(life, "upgraded: settings") == ["#", "mine"]


def test_a_removal_gives_the_kernel_its_own_modprobe_back(life: Outcomes) -> None:
    assert said(life, "removed: active") == ["inactive"]
    assert "minix" in said(life, "removed: loaded")
    assert said(life, "removed: the kernel's") == ["/sbin/modprobe"]
    assert "kmodd.toml" in said(life, "removed: settings")


@pytest.mark.parametrize("what", ["missing files", "modules", "databases", "groups"])
def test_a_purge_leaves_all_as_it_was(life: Outcomes, what: str) -> None:
    assert said(life, f"purged: {what}") == []


def test_a_purge_leaves_no_file(life: Outcomes) -> None:
    left = said(life, "purged: new files")
    assert [name for name in left if not name.startswith(OF_OTHERS) or "kmodd" in name] == []

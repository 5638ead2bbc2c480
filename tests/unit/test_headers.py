# SPDX-License-Identifier: Apache-2.0
"""Where a kernel's headers are found, and which package has them where they are not."""

from pathlib import Path

import pytest

from kmodctl.dev.headers import HeadersError, headers_for, package_of


def build_directory(place: Path, release: str) -> Path:
    (place / "include/generated").mkdir(parents=True)
    (place / "include/generated/utsrelease.h").write_text(f'#define UTS_RELEASE "{release}"\n')
    (place / "Makefile").touch()
    return place


@pytest.mark.parametrize(
    ("system", "release", "package"),
    [
        ({"ID": "debian"}, "6.1.0-57-amd64", "linux-headers-6.1.0-57-amd64"),
        ({"ID": "debian"}, "", "linux-headers-amd64"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "", "linux-headers-generic"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "6.8.0-1", "linux-headers-6.8.0-1"),
        ({"ID": "fedora"}, "6.12.4-200.fc41.x86_64", "kernel-devel-6.12.4-200.fc41.x86_64"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "", "kernel-devel"),
        ({"ID": "arch"}, "6.12.1-arch1-1", "linux-headers"),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, "6.4", "kernel-default-devel"),
        ({"ID": "nobodys"}, "6.4", ""),
        ({}, "", ""),
    ],
)
def test_a_package_is_named_as_the_distribution_calls_it(
    system: dict[str, str], release: str, package: str
) -> None:
    assert package_of(release, system, "x86_64") == package


def test_headers_that_are_missing_are_told_with_the_way_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(HeadersError, match=r"^there are no headers of 9\.9\.9-none: .*--build$"):
        headers_for("9.9.9-none", str(tmp_path))


def test_a_root_has_its_own_headers_by_a_link_within_it(tmp_path: Path) -> None:
    build_directory(tmp_path / "usr/src/linux-headers-9.9.9", "9.9.9")
    tree = tmp_path / "lib/modules/9.9.9"
    tree.mkdir(parents=True)
    (tree / "build").symlink_to("/usr/src/linux-headers-9.9.9")
    found = headers_for("9.9.9", str(tmp_path))
    assert (found.release, found.directory) == (
        "9.9.9",
        str(tmp_path / "usr/src/linux-headers-9.9.9"),
    )

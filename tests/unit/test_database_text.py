# SPDX-License-Identifier: Apache-2.0
"""The text files of a module tree, read."""

import pytest

from kmodd.database import text
from kmodd.database.device_nodes import DeviceNode, device_node, read_device_nodes


def test_modules_dep_gives_what_each_path_needs() -> None:
    data = b"kernel/a.ko: kernel/b.ko.xz /opt/c.ko\nkernel/b.ko.xz:\nno colon\n"
    assert text.read_dependencies(data) == {
        "kernel/a.ko": ("kernel/b.ko.xz", "/opt/c.ko"),
        "kernel/b.ko.xz": (),
    }


def test_aliases_may_hold_blanks_and_comments_count_for_nothing() -> None:
    data = b"# Aliases extracted from modules themselves.\nalias dmi:* bvn 1* m\nalias x\nalias y n"
    assert text.read_aliases(data) == (("dmi:* bvn 1*", "m"), ("y", "n"))


def test_soft_and_weak_dependencies_keep_their_text() -> None:
    data = b"# Soft\nsoftdep m pre: a b post: c\nsoftdep n\nweakdep o p\n"
    assert text.read_softdeps(data) == (("m", "pre: a b post: c"),)
    assert text.read_softdeps(data, "weakdep") == (("o", "p"),)


def test_device_nodes_have_a_kind_and_two_numbers() -> None:
    data = b"# Device nodes\nfuse fuse c10:229\nloop a b b7:0\nbad x c1\nbad y z1:2\nbad c1:2\n"
    assert read_device_nodes(data) == (
        DeviceNode("fuse", "fuse", "c", 10, 229),
        DeviceNode("loop", "a b", "b", 7, 0),
    )


def test_an_order_that_breaks_off_in_a_line_is_none() -> None:
    assert text.read_order(b"kernel/a.ko\nkernel/b.ko\n") == ("kernel/a.ko", "kernel/b.ko")
    assert text.read_order(b"kernel/a.ko\nkernel/b.ko") == ()
    assert text.read_order(b"") == ()


def test_builtin_modules_are_named_by_their_paths() -> None:
    data = b"kernel/fs/ext-4.ko\n8250.ko\n\nkernel/x.ko.xz\nkernel/fs/ext_4.ko\nlast"
    assert text.read_builtin(data) == (("ext_4", "x", "ext_4", "last"), ("8250.ko", ""))
    assert text.read_builtin(b"") == ((), ())


def test_builtin_modinfo_is_module_key_and_value() -> None:
    data = b"a.license=GPL v2\0b.alias=c.d=e\0nodot\0.alias=x\0c.novalue\0d.parm=cut short"
    assert text.read_builtin_modinfo(data) == (
        ("a", "license", "GPL v2"),
        ("b", "alias", "c.d=e"),
        ("c", "novalue", ""),
    )


def test_builtin_aliases_go_module_by_module() -> None:
    data = b"a.alias=1\0c.alias=\0b.alias=2\0a.alias=3\0b.license=GPL\0"
    assert text.builtin_aliases(data) == (("1", "a"), ("3", "a"), ("2", "b"))


@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        (["devname:x/y", "char-major-10-2", "block-major-3-4"], ("x/y", "c", 10, 2)),
        (["block-major-3-4", "char-major-5-6", "devname:q"], ("q", "c", 5, 6)),
        (["char-major-10-7x", "devname:a", "devname:b", "block-major-1-1"], ("a", "c", 10, 7)),
        (["devname:a", "devname:b", "block-major-1-1", "devname:c"], ("b", "b", 1, 1)),
        (["char-major- 10-+7", "devname:a b"], ("a b", "c", 10, 7)),
    ],
)
def test_a_device_node_takes_the_numbers_known_when_both_are_there(
    aliases: list[str], expected: tuple[str, str, int, int]
) -> None:
    path, kind, major, minor = expected
    assert device_node("m", aliases) == (path, DeviceNode("m", path, kind, major, minor))


@pytest.mark.parametrize("aliases", [["devname:x"], ["devname:x", "char-major-10-*"]])
def test_a_device_name_without_numbers_is_no_node(aliases: list[str]) -> None:
    assert device_node("m", aliases) == ("x", None)


def test_numbers_without_a_device_name_are_nothing() -> None:
    assert device_node("m", ["char-major-10-7"]) == (None, None)


def test_bytes_that_are_no_utf_8_survive() -> None:
    assert text.encode(text.decode(b"caf\xe9")) == b"caf\xe9"

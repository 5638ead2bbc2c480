# SPDX-License-Identifier: Apache-2.0
"""What a name stands for, and which source says so."""

import pytest

from kmodd.config import Config, parse_config
from kmodd.errors import NotFoundError, Reason, RequestError
from kmodd.plan import Resolution, Stage, Target, resolve
from tests.support.records import database, record

TREE = database(
    record("fat"),
    record("vfat", needs=["fat"], aliases=["fs-vfat", "pci:v*d[0-9]*"]),
    record("msdos", needs=["fat"], aliases=["fs-msdos", "pci:v*d1"]),
    record("snd_hda_intel"),
    builtin=["loop"],
)
NOTHING = Config()


def names(resolution: Resolution) -> list[str]:
    return [target.name for target in resolution.targets]


@pytest.mark.parametrize(
    ("name", "stage", "targets"),
    [
        ("vfat", Stage.MODULE, [Target("vfat", "")]),
        ("snd-hda_intel", Stage.MODULE, [Target("snd_hda_intel", "")]),
        ("symbol:fat_do", Stage.SYMBOL, [Target("fat", "symbol:fat_do")]),
        ("fs-vfat", Stage.ALIAS, [Target("vfat", "fs_vfat")]),
        ("loop", Stage.BUILTIN, [Target("loop", "")]),
        ("dev:loop", Stage.BUILTIN_ALIAS, [Target("loop", "dev:loop")]),
    ],
)
def test_each_source_answers_to_its_names(name: str, stage: Stage, targets: list[Target]) -> None:
    found = resolve(name, TREE, NOTHING)
    assert (found.stage, list(found.targets)) == (stage, targets)


def test_an_alias_of_several_modules_names_them_by_priority() -> None:
    assert names(resolve("pci:v8086d1", TREE, NOTHING)) == ["vfat", "msdos"]


def test_an_alias_of_the_configuration_hides_the_module_of_that_name() -> None:
    config = parse_config("alias vfat msdos\nalias vf* fat\n")
    found = resolve("vfat", TREE, config)
    assert found.targets == (Target("msdos", "vfat"), Target("fat", "vf*"))


def test_aliases_do_not_lead_to_aliases() -> None:
    config = parse_config("alias a b\nalias b vfat\n")
    assert resolve("a", TREE, config).targets == (Target("b", "a"),)


def test_a_command_answers_to_its_exact_name_before_the_modules_aliases_do() -> None:
    config = parse_config("install fs-vfat cmd\nremove fs-ms* cmd\n")
    assert resolve("fs-vfat", TREE, config).targets == (Target("fs_vfat", "", named=True),)
    assert names(resolve("fs-msdos", TREE, config)) == ["msdos"]


@pytest.mark.parametrize("name", ["ext4", "vfat.ko", "VFAT", "fs-*", "symbol:nothing"])
def test_a_name_that_nothing_answers_to_is_an_error_that_names_the_directory(name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        resolve(name, TREE, NOTHING)
    assert caught.value.reason is Reason.MODULE_NOT_FOUND
    assert caught.value.detail == TREE.directory
    assert caught.value.module == name


@pytest.mark.parametrize("name", ["", "a\0b", "a[b", "a]b", "x" * 5000])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        resolve(name, TREE, NOTHING)
    assert caught.value.reason is Reason.INVALID_NAME


def test_an_empty_tree_answers_to_the_configuration_alone() -> None:
    empty = database()
    config = parse_config("alias a b\ninstall c cmd\n")
    assert resolve("a", empty, config).stage is Stage.CONFIG_ALIAS
    assert resolve("c", empty, config).stage is Stage.COMMAND

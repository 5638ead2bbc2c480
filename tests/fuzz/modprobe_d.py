# SPDX-License-Identifier: Apache-2.0
"""What administrators and packages write: modprobe.d, depmod.d, modules-load.d, a command line.

None of it may raise anything: what is wrong with a line is said, and the rest is in force.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kmodd.config import Config, parse_config, read_config
from kmodd.config.depmod import read_depmod_config
from kmodd.config.modprobe import MAX_PROBLEMS
from kmodd.config.modules_load import modules_to_load
from kmodd.globs import PatternTable
from tests.fuzz.fuzzer import Fuzzer, Target

KINDS = ("modprobe.d", "depmod.d", "modules-load.d")
"""Where an input is read; its first byte says where, and one more stands for a command line."""

NAMES = ("hello", "snd_hda", "pci:v1d2", "a", "")

SEEDS = (
    "\0alias net-pf-10 ipv6\nblacklist pc-speaker\noptions snd-hda power_save=1 id=a-b\n",
    "\0install usb-storage /bin/true --x\nremove usb-storage /bin/false # x\n",
    "\0softdep a-b pre: c-d e post: f\nweakdep a-b g h-i\nalias a* \\\n  b\nalias [x-z]? a\\b\n",
    "\1search updates extra/more built-in\noverride ext3 ^5\\.(1|2).* extra\n",
    "\1override * [[:alpha:]]{1,3} updates\nexternal 5.* /a /b\nmake_map_files no\nexclude x\n",
    "\2# a comment\n hello\n;another\nworld\n",
    "\3module_blacklist=a,b modprobe.blacklist=c hello.x=1 'y.z=a b' modules_load=hello,world",
)

WORDS = (
    *("alias ", "blacklist ", "options ", "install ", "remove ", "softdep ", "weakdep "),
    *("pre: ", "post: ", "config ", "include ", "search ", "override ", "external ", "exclude "),
    *("built-in", "make_map_files ", "\\\n", "[a-z]", "[[:alpha:]]", "{1,2}", "modules_load="),
    *("module_blacklist=", "modprobe.blacklist=", "snd_hda", "hello"),
)


@contextmanager
def opened() -> Iterator[Target]:
    """Have a root whose configuration is the input."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        files = [root / "etc" / kind / "x.conf" for kind in KINDS]
        for file in files:
            file.parent.mkdir(parents=True)
            file.touch()

        def target(data: bytes) -> None:
            kind, text = data[:1] or b"\0", data[1:]
            if kind[0] % (len(KINDS) + 1) == len(KINDS):
                line = os.fsdecode(text)
                look(read_config(root, command_line=line))
                modules_to_load(root, line, [])
                return
            file = files[kind[0] % len(KINDS)]
            file.write_bytes(text)
            try:
                look_at(root, file, text)
            finally:
                file.write_bytes(b"")

        yield target


def look_at(root: Path, file: Path, text: bytes) -> None:
    """Read a root's configuration, which is ``text`` in one file, and see that it makes sense."""
    if file.parent.name == "depmod.d":
        depmod = read_depmod_config(root, "6.1.0-amd64")
        depmod.rank("updates/x.ko")
    elif file.parent.name == "modules-load.d":
        problems: list[str] = []
        wanted = modules_to_load(root, "", problems)
        assert all(each.name == each.name.strip() != "" for each in wanted)
    else:
        config = read_config(root)
        look(config)
        assert len(config.problems) <= MAX_PROBLEMS + 2
        assert len(entries(config)) <= text.count(b"\n") + 1
        again = parse_config(os.fsdecode(text), str(file))
        assert entries(again) == entries(config) or len(config.problems) > len(again.problems)


def entries(config: Config) -> tuple[object, ...]:
    """Return all that a configuration says."""
    return (
        *(*config.aliases, *config.blacklist, *config.options, *config.installs),
        *(*config.removes, *config.softdeps, *config.weakdeps),
    )


def look(config: Config) -> None:
    """Ask all that there is to ask, and compare with what each entry says for itself."""
    for name in (*NAMES, *(entry.pattern for entry in config.aliases[:8])):
        alone = [PatternTable([(each.pattern, each)]) for each in config.aliases]
        assert config.aliases_of(name) == tuple(x for each in alone for x in each.select(name))
        assert config.is_blacklisted(name) == any(each.module == name for each in config.blacklist)
        options = config.options_of(name, "alias")
        assert all(each.text in options for each in config.options if each.module == name)
        command = config.install_of(name)
        assert command in (None, *(each.command for each in config.installs))
        config.remove_of(name, named=True)
        config.has_command(name)
        config.softdeps_of(name, ["pre: a"])
        config.soft_names_of(name, first_only=True)
    config.with_tree([("a", "pre: b")], [("a", "c")])


FUZZER = Fuzzer(
    opened=opened, seeds=lambda: (each.encode() for each in SEEDS), words=WORDS, longest=2048
)

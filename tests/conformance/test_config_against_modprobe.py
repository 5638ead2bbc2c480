# SPDX-License-Identifier: Apache-2.0
"""A configuration is what the machine's own modprobe -c shows of the same files.

Left out, each for its reason:
- weakdep: the modprobe of kmod 30 does not know it.
- A file that ends in a backslash: kmod 30 takes the end of the file for a character there.
- A softdep with its sides in turns, which modprobe -c does not show as it takes it.
- A softdep with two blanks before its first side, of which modprobe takes nothing.
"""

from pathlib import Path

import pytest

from kmodd.config import Config, read_config
from tests.support.modprobe import Modprobe, host_modprobe, isolated_modprobe, write_kernel
from tests.support.records import database, publish, record

TREE = (record("tree", softdeps=["pre: leaf", "post: bush"]), record("leaf", softdeps=["odd"]))

TEXTS = {
    "words": "alias\ta-b  c-d  more\n  alias e f\n\talias g h\nblacklist i-j k\n \t \n\n",
    "comments": "#alias a b\n # alias c d\n# joined \\\nalias e f\nalias g h # i\n",
    "rest of the line": "options a  b=1  c=2 \noptions d\te\ninstall f  g -h  'i' \nremove j k#l\n",
    "tabs in options": "options\ta\tb=1\t c='2\t3'\ninstall d e\tf\n",
    "missing words": "alias a\nblacklist\noptions b\noptions c \ninstall d\nremove e\nsoftdep f\n",
    "unknown words": "include a\nconfig b\nALIAS c d\nalias: e f\n\valias g h\nalias i\vj k\n",
    "brackets": "alias a-[b-c]-d e-f\ninstall g[ h\nblacklist i]j\noptions k[l-m] n\nalias p q[\n",
    "backslashes": "alias a\\b c\\\\d\n\\alias e f\noptions g h=\\'i\\'\n",
    "continued lines": "alias a \\\n b\nalias \\\nc d\nal\\\nias e f\nalias \\\n\nalias g h\n",
    "line ends": "alias a b\r\nalias c d\\\r\ne\nalias f g",
    "bytes": "alias a\udce9 b\udcff\noptions c d=\u00e9\u4e16\n\ufeffblacklist e\n",
    "nul": "alias a\0b c\nalias d e\0f\nblacklist g\n",
    "softdeps": "softdep a-b pre: c-d e\nsoftdep f g pre: h\nsoftdep i post:\tj\vk\n",
}
COMMAND_LINES = {
    "options": "quiet a.b=1 c-d.e-f=2 g.h m.p= x=y.z k.l=m.n=o\n",
    "quotes": '"a.b=c d" e.f="g h" i.j=k"l m"n "o.p=q"r "s t.u=1" "v.w" x."y=1" "z".a=1 b.c=2\n',
    "unbalanced": 'a.b=1 "c.d=e f.g=2\n',
    "unbalanced value": 'a.b=1 c.d="e f.g=2\n',
    "blacklist": 'modprobe.blacklist=a-b,c "modprobe.blacklist=d,e" modprobe.x=1\n',
    "dots": "a.b.c=1 a..b=1 =.=. a=.b '.c=d e.f\n",
    "brackets": "ivrs_acpihid[00:14.5]=AMD0020:0 a].b=1 c[d-e].f=1 g.h=1\n",
    "tabs in quotes": 'a.b="c\td" "e.f=g\th"\n',
    "spaces": "a.b=1\tc.d=2\ve.f=3  g.h\r i.j=\udce9\n",
}


def shown(config: Config) -> list[str]:
    """The configuration as modprobe -c words it."""
    lines = [f"blacklist {entry.module}" for entry in config.blacklist]
    lines += [f"install {entry.pattern} {entry.command}" for entry in config.installs]
    lines += [f"remove {entry.pattern} {entry.command}" for entry in config.removes]
    lines += [f"alias {entry.pattern} {entry.module}" for entry in config.aliases]
    lines += [f"options {entry.module} {entry.text}" for entry in config.options]
    for entry in config.softdeps:
        pre = f"pre: {' '.join(entry.pre)}" if entry.pre else ""
        post = f"post: {' '.join(entry.post)}" if entry.post else ""
        lines.append(f"softdep {entry.pattern} {pre}{post}")
    return lines


def dumped(modprobe: Modprobe, *arguments: str) -> tuple[list[str], int]:
    """What modprobe -c shows of the configuration, and how many complaints there are."""
    answer = modprobe.run(*arguments, "-c")
    end = answer.lines.index("# End of configuration files. Dumping indexes now:")
    return [line for line in answer.lines[:end] if line], answer.errors.count("libkmod: ERROR")


class Root:
    """A root with a tree, and modprobe on it with directories of configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config"
        self.config.mkdir()
        self.database = database(*TREE, root=path)
        publish(self.database)

    def read(self, command_line: str = "", *others: Path) -> Config:
        """Read the configuration as the daemon does, with the tree's own lines sorted in."""
        paths = [self.config, *others]
        config = read_config(self.path, paths=paths, command_line=command_line)
        return config.with_tree(self.database.softdeps, ())


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_means_what_it_means_to_modprobe(root: Root, text: str) -> None:
    content = TEXTS[text].encode("utf-8", "surrogateescape")
    (root.config / "a.conf").write_bytes(content)
    modprobe = host_modprobe(root.path, root.database.release, root.config)
    theirs, complaints = dumped(modprobe)
    config = root.read(Path("/proc/cmdline").read_text())
    assert shown(config) == theirs
    assert len(config.problems) == complaints


@pytest.mark.parametrize("command_line", COMMAND_LINES)
def test_a_command_line_means_what_it_means_to_modprobe(root: Root, command_line: str) -> None:
    text = COMMAND_LINES[command_line]
    write_kernel(root.path / "kernel", command_line=text)
    release = root.database.release
    modprobe = isolated_modprobe(root.path, release, root.config, root.path / "kernel")
    theirs, complaints = dumped(modprobe)
    config = root.read(text)
    assert shown(config) == theirs
    assert len(config.problems) == complaints


def test_files_are_read_in_modprobes_order(root: Root) -> None:
    other = root.path / "other"
    single = root.path / "single"
    other.mkdir()
    for directory, names in ((root.config, ("z", "B", "m")), (other, ("z", "a", "modules", "n"))):
        for name in names:
            text = f"softdep tree pre: {directory.name}-{name}\n"
            (directory / f"{name}.conf").write_text(text)
    (root.config / ".hidden.conf").write_text("softdep tree pre: hidden\n")
    (root.config / "other.txt").write_text("softdep tree pre: text\n")
    single.write_text("softdep tree pre: single\n")
    modprobe = host_modprobe(root.path, root.database.release, root.config)
    paths = (other, single, root.path / "missing")
    theirs, _ = dumped(modprobe, *(word for path in paths for word in ("-C", str(path))))
    assert shown(root.read(Path("/proc/cmdline").read_text(), *paths)) == theirs

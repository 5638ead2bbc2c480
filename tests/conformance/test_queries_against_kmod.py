# SPDX-License-Identifier: Apache-2.0
"""On all of Debian's modules kmodctl prints what kmod prints, byte for byte.

Left out, each for its reason:
- The options of the machine's own command line, which kmod always reads and a daemon with an
  emulated kernel does not: kmod is given an empty one.
- ``weakdep`` lines of ``modprobe -c``, and the blank between both sides of a softdep: kmod 30 does
  not know the first and forgets the second. Debian's modules have neither.
"""

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, running_daemon
from tests.support.debian import DebianTree
from tests.support.here import Ran, run_here
from tests.support.kmod import Case, make_kernel, run_kmod
from tests.support.tree import ModuleTree

SEED = 20261123
ALIASES = 3000
FORMS = 200
PROCESSES = 200
"""kmodctl processes that are started; everything else is called in the test's own process."""

MODINFO_FORMS = (
    (),
    ("-0",),
    *(("-F", field) for field in ("alias", "depends", "name", "signer", "signature", "nosuch")),
    *((option,) for option in ("-a", "-d", "-l", "-p", "-n", "-m")),
    ("-p", "-0"),
)


class Debian:
    """Debian's tree, a daemon that serves it, and kmod's view of the very same files."""

    def __init__(self, tree: ModuleTree, daemon: Daemon, kernel: Path) -> None:
        self.tree = tree
        self.daemon = daemon
        self.kernel = kernel
        self.config = kernel / "no-config"
        self.config.mkdir(exist_ok=True)
        self.names = sorted(path.name.removesuffix(".ko") for path in tree.directory.rglob("*.ko"))

    def ours(self, *words: str) -> Ran:
        return run_here(self.daemon.socket, *words)

    def modprobe(self, commands: Sequence[Sequence[str]]) -> list[Ran]:
        place = ("-C", str(self.config), "-d", str(self.tree.root), "-S", self.tree.release)
        begin = ("modprobe", *place)
        return run_kmod([Case((*begin, *words), self.kernel) for words in commands])

    def modinfo(self, commands: Sequence[Sequence[str]]) -> list[Ran]:
        begin = ("modinfo", "-b", str(self.tree.root), "-k", self.tree.release)
        return run_kmod([Case((*begin, *words), self.kernel) for words in commands])


class FromFiles(Debian):
    """The same, answered from the published files rather than by the daemon."""

    def ours(self, *words: str) -> Ran:
        options = {
            "modprobe": ("-C", str(self.config), "-d", str(self.tree.root)),
            "modinfo": ("-b", str(self.tree.root)),
        }
        at = next((at for at, word in enumerate(words) if word in options), None)
        if at is None:
            return super().ours(*words)
        return super().ours(*words[: at + 1], *options[words[at]], *words[at + 1 :])


@pytest.fixture(scope="module")
def served(debian_tree: DebianTree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    tree = debian_tree.copy(tmp_path_factory.mktemp("debian") / "root")
    kernel = make_kernel(tmp_path_factory.mktemp("kernel"))
    with running_daemon(tree.root, "--no-watch") as daemon:
        yield Debian(tree, daemon, kernel)


@pytest.fixture(params=[Debian, FromFiles], ids=["daemon", "files"])
def debian(served: Debian, request: pytest.FixtureRequest) -> Debian:
    """Both ways to an answer."""
    way: type[Debian] = request.param
    return way(served.tree, served.daemon, served.kernel)


def same(ours: Ran, theirs: Ran) -> None:
    """See that both said the same; a difference is told by its first line."""
    if ours != theirs:
        for mine, other in zip(ours.output.splitlines(), theirs.output.splitlines(), strict=False):
            assert mine == other
    assert ours == theirs


@pytest.mark.parametrize("options", [("-D",), ("-n", "-v"), ("-D", "-i"), ("-r", "-D")])
def test_modprobe_shows_the_same_for_every_module(debian: Debian, options: Sequence[str]) -> None:
    words = (*options, "-a", *debian.names)
    (theirs,) = debian.modprobe([words])
    same(debian.ours("--kmod-exact", "modprobe", *words), theirs)
    assert theirs.output.count("\n") >= len(debian.names)


def test_what_is_better_than_kmod_shows_more_where_there_are_several_softdeps(
    debian: Debian,
) -> None:
    lines = debian.ours("modprobe", "-c").output.splitlines()
    softdeps = Counter(line.split(" ")[1] for line in lines if line.startswith("softdep "))
    more = set()
    for name in debian.names:
        if softdeps[name.replace("-", "_")] > 1:
            exact = debian.ours("--kmod-exact", "modprobe", "-D", name).output.splitlines()
            better = debian.ours("modprobe", "-D", name).output.splitlines()
            assert set(exact) <= set(better)
            more |= {name} if len(exact) < len(better) else set()
    assert "ksmbd" in more


def queries(debian: Debian) -> list[str]:
    """Aliases as a bus would ask for them, wildcards filled in; and all symbols."""
    chance = random.Random(SEED)
    lines = debian.ours("modprobe", "-c").output.splitlines()
    found = [line.split(" ")[1] for line in lines if line.startswith("alias ")]
    symbols = [name for name in found if name.startswith("symbol:")]
    aliases = [name for name in found if not name.startswith("symbol:")]

    def fill(match: "re.Match[str]") -> str:
        if match[0] == "*":
            return chance.choice(("", "0", "00000001", "d"))
        return match[1] or chance.choice("01")

    filled = [re.sub(r"\*|\?|\[(.).*?\]", fill, name) for name in chance.sample(aliases, ALIASES)]
    return [*filled, *symbols, "no-such-alias", "symbol:no_such_symbol", "[", "a]b"]


def test_aliases_and_symbols_stand_for_the_same_modules(debian: Debian) -> None:
    words = ("-R", "-a", *queries(debian))
    (theirs,) = debian.modprobe([words])
    same(debian.ours("modprobe", *words), theirs)
    assert theirs.output.count("\n") > ALIASES


def test_modinfo_says_the_same_of_every_module(debian: Debian) -> None:
    (theirs,) = debian.modinfo([debian.names])
    same(debian.ours("modinfo", *debian.names), theirs)


@pytest.mark.parametrize("form", MODINFO_FORMS, ids=" ".join)
def test_modinfo_has_the_same_forms(debian: Debian, form: Sequence[str]) -> None:
    names = random.Random(SEED).sample(debian.names, FORMS)
    builtin = (debian.tree.directory / "modules.builtin").read_text().split()
    names += [Path(line).name.removesuffix(".ko") for line in builtin[:20]]
    (theirs,) = debian.modinfo([(*form, *names)])
    same(debian.ours("modinfo", *form, *names), theirs)


def test_modinfo_of_files_says_the_same(debian: Debian) -> None:
    files = sorted(map(str, debian.tree.directory.rglob("*.ko")))
    names = random.Random(SEED).sample(files, 20)
    (theirs,) = debian.modinfo([names])
    same(debian.ours("modinfo", *names), theirs)


def test_the_configuration_and_all_aliases_are_shown_the_same(debian: Debian) -> None:
    (theirs,) = debian.modprobe([("-c",)])
    same(debian.ours("modprobe", "-c"), theirs)


@pytest.mark.parametrize("option", ["--show-modversions", "--show-exports"])
def test_symbols_of_files_are_shown_the_same(debian: Debian, option: str) -> None:
    files = sorted(map(str, debian.tree.directory.rglob("*.ko")))
    for file in random.Random(SEED).sample(files, 15):
        (theirs,) = debian.modprobe([(option, file)])
        same(debian.ours("modprobe", option, file), theirs)


@pytest.mark.parametrize("form", ["human", "tmpfiles", "devname"])
def test_device_nodes_are_told_the_same(served: Debian, tmp_path: Path, form: str) -> None:
    """kmod looks for them at the running kernel's place, so Debian's are put there for it."""
    place = tmp_path / os.uname().release
    place.mkdir()
    shutil.copy(served.tree.directory / "modules.devname", place)
    written = tmp_path / "nodes"
    words = ("static-nodes", "-f", form, "-o", str(written))
    (theirs,) = run_kmod([Case(("kmod", *words), served.kernel, trees=tmp_path)])
    expected = written.read_text()
    assert expected
    same(served.ours(*words), theirs)
    assert written.read_text() == expected
    assert served.ours(*words[:3]).output == expected


def test_processes_say_the_same_as_calls_in_this_process(served: Debian) -> None:
    names = random.Random(SEED + 1).sample(served.names, PROCESSES)
    tools = [("modprobe", "-D"), ("modprobe", "-R"), ("modinfo",)]
    cases = [(*tools[at % len(tools)], name) for at, name in enumerate(names)]

    def as_process(words: Sequence[str]) -> Ran:
        ran = served.daemon.kmodctl(*words)
        return Ran(ran.stdout, ran.stderr, ran.returncode)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(as_process, cases))
    # Not at the same time: a call in this process has the environment to itself.
    for words, ran in zip(cases, found, strict=True):
        same(ran, served.ours(*words))

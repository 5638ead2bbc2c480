# SPDX-License-Identifier: Apache-2.0
"""The databases are those that the machine's own depmod writes, and its modprobe reads them.

Left out, each for its reason:
- the layout of the binary indexes: depmod of kmod 30 writes children before their parents, so
  what is compared is every entry in order (the golden trees hold the layout of v34);
- modules.weakdep: kmod 30 does not know it;
- .gz modules: Debian's kmod is built without zlib;
- files of one module that rank the same: for depmod chance decides;
- names that are not ASCII: depmod crashes;
- a line of depmod.d with several external directories: depmod.d(5) has them, kmod takes the first;
- a path that modules.order names twice: it is the last line that counts for kmod 30;
- cycles that share a module: kmod 30 dies of some of them.
"""

import random
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kmodd.config.depmod import DepmodConfig, read_depmod_config
from kmodd.database import Database, trie
from kmodd.database.publish import publish
from kmodd.database.rebuild import rebuild
from kmodd.database.symbols import read_system_map, symbol_problems
from kmodd.errors import TreeError
from kmodd.modulefile.symvers import read_symvers
from tests.support.databases import kernel_symbols
from tests.support.debian import DebianTree
from tests.support.elf_patch import with_modinfo
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.modprobe import host_modprobe
from tests.support.require import require
from tests.support.small_tree import add_graph, add_module, empty_tree
from tests.support.tree import ModuleTree

SEED = 20260711


def run_depmod(tree: ModuleTree, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the machine's depmod on ``tree``, with no configuration but that of ``options``."""
    depmod = require("depmod", "the comparison is with kmod's depmod")
    if "-C" not in options:
        options = ("-C", "/dev/null", *options)
    command = [depmod, "-b", str(tree.root), *options, tree.release]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def database_of(tree: ModuleTree, config: DepmodConfig | None = None) -> Database:
    return rebuild(str(tree.directory), tree.release, config=config or DepmodConfig())


def differences(tree: ModuleTree, database: Database) -> list[str]:
    """The files of which depmod, that has just run on ``tree``, wrote something else."""
    written = {path.name: path.read_bytes() for path in tree.directory.glob("modules.*")}
    names = written.keys() & database.files.keys()
    assert len(names) >= 10
    different = []
    for name in names:
        ours, theirs = database.files[name], written[name]
        if name.endswith(".bin") and ours and theirs:
            same = list(trie.read_index(ours)) == list(trie.read_index(theirs))
        else:
            same = ours == theirs
        if not same:
            different.append(name)
    return sorted(different)


@pytest.fixture(scope="module")
def debian(debian_tree: DebianTree, tmp_path_factory: pytest.TempPathFactory) -> ModuleTree:
    """Debian's modules with databases by the machine's depmod; the modules are linked to."""
    tree = ModuleTree(tmp_path_factory.mktemp("debian"), debian_tree.release)
    tree.directory.mkdir(parents=True)
    (tree.directory / "kernel").symlink_to(debian_tree.directory / "kernel")
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (tree.directory / name).write_bytes((debian_tree.directory / name).read_bytes())
    assert run_depmod(tree).returncode == 0
    return tree


@pytest.fixture(scope="module")
def database(debian: ModuleTree) -> Database:
    return database_of(debian)


def test_debians_databases_are_those_of_depmod(debian: ModuleTree, database: Database) -> None:
    assert len(database.modules) > 3000
    assert database.problems == ()
    assert differences(debian, database) == []


def test_our_search_finds_in_depmods_indexes_what_it_finds_in_ours(
    debian: ModuleTree, database: Database
) -> None:
    theirs = (debian.directory / "modules.alias.bin").read_bytes()
    for query in sample_queries(database, 200):
        assert trie.search_wild(theirs, query) == database.search_aliases(query)


def sample_queries(database: Database, count: int) -> list[str]:
    """Names that a bus would make up, after aliases at random: wildcards stand for something."""
    chance = random.Random(SEED)
    aliases = [alias for record in database.modules.values() for alias in record.aliases]
    sample = [alias for alias in chance.sample(aliases, count) if "[" not in alias]
    return [alias.replace("*", "0").replace("?", "1") for alias in sample]


def test_modprobe_finds_in_our_files_what_it_finds_in_depmods(
    debian: ModuleTree, database: Database, tmp_path: Path
) -> None:
    ours = ModuleTree(tmp_path, debian.release)
    ours.directory.mkdir(parents=True)
    publish(database.files, str(ours.directory))
    (ours.directory / "kernel").symlink_to((debian.directory / "kernel").resolve())
    chance = random.Random(SEED)
    symbols = [name for record in database.modules.values() for name, _ in record.exports]
    asked = sample_queries(database, 60)
    asked += [f"symbol:{name}" for name in chance.sample(symbols, 10)]
    asked += ["crc32c", "unix", "no-such-module", *chance.sample(list(database.modules), 30)]
    cases = [[option, name] for name in asked for option in ("-R", "-D")]
    answers = [
        host_modprobe(tree.root, tree.release, Path("/dev/null")).run_all(cases)
        for tree in (ours, debian)
    ]
    told = [
        (answer.failed, [line.replace(str(tree.root), "") for line in answer.lines])
        for tree, answers_of_tree in zip((ours, debian), answers, strict=True)
        for answer in answers_of_tree
    ]
    assert told[: len(cases)] == told[len(cases) :]
    assert sum(not failed for failed, _ in told[: len(cases)]) > len(cases) // 2


@pytest.mark.parametrize("versions", [True, False], ids=["Module.symvers", "System.map"])
def test_depmod_e_finds_the_same_symbols_wanting(
    debian: ModuleTree, database: Database, tmp_path: Path, versions: bool
) -> None:
    known = list(kernel_symbols(database).items())
    chance = random.Random(SEED)
    known = [(name, crc ^ (chance.random() < 0.01)) for name, crc in known]
    known = [each for each in known if chance.random() < 0.99]
    file = tmp_path / "symbols"
    if versions:
        lines = [f"0x{crc:08x}\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n" for name, crc in known]
    else:
        lines = [f"ffffffff81000000 r __ksymtab_{name}\n" for name, _ in known]
    file.write_text("".join(lines))
    kernel: Mapping[str, int | None] = read_system_map(file.read_bytes())
    if versions:
        kernel = {name: each.crc for name, each in read_symvers(file.read_bytes()).items()}
    ours = [f"depmod: {line}" for line in symbol_problems(database, kernel, versions=versions)]
    ran = run_depmod(debian, "-n", "-e", "-E" if versions else "-F", str(file))
    assert ran.stderr.splitlines() == ours
    assert len(ours) > 100


NO_CYCLE = re.compile(r"Cycle detected: \S+$")
"""What kmod says of a module that a cycle needs and that needs another one."""


def lists(tree: ModuleTree, order: str = "", builtin: str = "", modinfo: bytes = b"") -> None:
    (tree.directory / "modules.order").write_text(order)
    (tree.directory / "modules.builtin").write_text(builtin)
    (tree.directory / "modules.builtin.modinfo").write_bytes(modinfo)


def no_lists(tree: ModuleTree) -> None:
    add_graph(tree, [("snd-hda", "snd"), ("snd", "soundcore"), ("x", "snd"), ("x", "y")])


def no_modules(tree: ModuleTree) -> None:
    lists(tree)


def odd_names(tree: ModuleTree) -> None:
    for name in ("foo.bar", "top-dash", "a b", ".hidden", "x.ko.y"):
        add_module(tree, f"kernel/{name}.ko", aliases=[f"alias-of-{name.encode().hex()}"])
    add_module(tree, "outermost.ko")
    add_module(tree, "kernel/dir.ko/in.ko.xz")
    add_module(tree, "kernel/source/skipped.ko")


def more_dots_than_one(tree: ModuleTree) -> None:
    for name in ("foo.bar", "a-b", "zz.x.y"):
        add_module(tree, f"kernel/{name}.ko" + (".xz" if name == "zz.x.y" else ""))
    add_module(tree, "last.ko")
    lists(tree, order="kernel/foo.bar.ko\nkernel/zz.x.y.ko\nkernel/a-b.ko\nlast.ko\n")


def dots_before_symbols(tree: ModuleTree) -> None:
    add_module(tree, "a.ko", exports=["foo", ".baz"], imports=[".qux"])
    add_module(tree, "b.ko", imports=[".foo", "..baz", "foo"])
    add_module(tree, "c.ko", exports=["qux"], imports=[".baz", "..foo", ".TOC."])
    add_module(tree, "d.ko", imports=[".qux", "foo"])


def an_order_of_some(tree: ModuleTree) -> None:
    for name in "abcdefgh":
        add_module(tree, f"kernel/{name}.ko" + (".xz" if name in "bf" else ""))
    lists(tree, order="kernel/f.ko\nkernel/zz.ko\n kernel/d.ko\nkernel/b.ko\nb.ko\n")


def an_order_that_breaks_off(tree: ModuleTree) -> None:
    for name in "abcdef":
        add_module(tree, f"kernel/{name}.ko")
    lists(tree, order="kernel/f.ko\nkernel/c.ko\n\nkernel/e.ko")


def odd_aliases(tree: ModuleTree) -> None:
    add_module(tree, "z.ko", aliases=["foo-bar", "un[matched", "ok-[a-b]-c", "foo-bar", "un]x"])
    add_module(tree, "y.ko", aliases=["foo_bar", "foo*", "with blank", ""])
    add_module(tree, "x.ko", softdeps=["pre: a-b", "post: c"], aliases=["[-]-[-]"])


def edited_strings(tree: ModuleTree) -> None:
    add_module(tree, "whole.ko", exports=["f"])
    add_module(tree, "user.ko", imports=["f"])
    whole, user = (tree.directory / name for name in ("whole.ko", "user.ko"))
    for path, contents in (
        (whole, b"license=GPL\0alias=a\0\n"),
        (user, b"license=GPL\0softdep=pre: x\0alias=last:*"),
    ):
        path.write_bytes(with_modinfo(path.read_bytes(), contents))
    for number, contents in enumerate(
        (
            b"alias=one\nalias=two\nsoftdep=pre: x\n",
            b"\0\0alias\0\0\0softdep=\0weakdep=w\r\n",
            b"alias=a\nb\0softdep=pre: q\nsoftdep r post: s\0",
            b"x",
            b"",
        )
    ):
        (tree.directory / f"e{number}.ko").write_bytes(
            with_modinfo(write_module(ModuleSpec()), contents)
        )


def device_nodes(tree: ModuleTree) -> None:
    nodes: dict[str, list[str]] = {
        "d1": ["devname:x/y", "char-major-10-2", "block-major-3-4"],
        "d2": ["block-major-3-4", "char-major-5-6", "devname:q"],
        "d3": ["devname:only"],
        "d4": ["devname:star", "char-major-10-*"],
        "d5": ["char-major-10-7x", "devname:a", "devname:b", "block-major-1-1"],
        "d6": ["char-major- 10- 7", "devname:a b"],
        "d7": ["devname:a", "devname:b", "char-major-1-1", "devname:c"],
        "d8": ["devname:", "char-major-1-2"],
    }
    for name, aliases in nodes.items():
        add_module(tree, f"{name}.ko", aliases=aliases)


def builtin_modules(tree: ModuleTree) -> None:
    lines = (
        "kernel/x-y.ko",
        "1abc.ko",
        "",
        "kernel/n.tar.ko",
        " /x.ko",
        "kernel/x_y.ko",
        "q.ko.xz",
    )
    lists(
        tree,
        builtin="".join(f"{line}\n" for line in lines),
        modinfo=b"m1.alias=al-ias-1\0m2.parm=x\0m-3.alias=br[a-\0m-3.alias=br[a-z]-\0"
        b"m6.alias=\0m1.alias=second\0m4.alias=al-ias-1\0m5.alias=tail",
    )


def no_modules_at_all(tree: ModuleTree) -> None:
    add_module(tree, "kernel/good.ko", exports=["f"])
    whole = (tree.directory / "kernel/good.ko").read_bytes()
    (tree.directory / "kernel/empty.ko").touch()
    (tree.directory / "kernel/text.ko").write_text("no module " * 50)
    (tree.directory / "kernel/head.ko").write_bytes(whole[:200])
    (tree.directory / "kernel/short.ko").write_bytes(whole[:-100])
    (tree.directory / "kernel/junk.ko.xz").write_bytes(b"\xfd7zXZ\0junk")
    (tree.directory / "kernel/plain.ko.xz").write_bytes(whole)


def a_symbol_with_two_owners(tree: ModuleTree) -> None:
    for name in ("one", "two", "three"):
        add_module(tree, f"{name}.ko", exports=["shared", f"{name}_do"])
    add_module(tree, "user.ko", imports=["shared", "three_do", "_printk", "shared"])


def many_modules_at_random(tree: ModuleTree) -> None:
    chance = random.Random(SEED)
    for number in range(120):
        needs = [f"s{chance.randrange(number)}" for _ in range(chance.randrange(4)) if number]
        aliases = [f"pci:v{chance.randrange(9)}*d{chance.randrange(99)}-*" for _ in range(3)]
        directory = chance.choice(("kernel/a", "kernel/b/c", "extra"))
        add_module(
            tree,
            f"{directory}/m-{number}.ko",
            exports=[f"s{number}"],
            imports=needs,
            aliases=aliases,
        )
    picked = chance.sample(range(120), 50)
    lists(tree, order="".join(f"kernel/a/m-{number}.ko\n" for number in picked))


@pytest.mark.parametrize(
    "fill",
    [
        no_lists,
        no_modules,
        odd_names,
        more_dots_than_one,
        dots_before_symbols,
        an_order_of_some,
        an_order_that_breaks_off,
        odd_aliases,
        edited_strings,
        device_nodes,
        builtin_modules,
        no_modules_at_all,
        a_symbol_with_two_owners,
        many_modules_at_random,
    ],
)
def test_small_trees_have_the_databases_of_depmod(
    tmp_path: Path, fill: Callable[[ModuleTree], None]
) -> None:
    tree = empty_tree(tmp_path)
    fill(tree)
    assert run_depmod(tree).returncode == 0
    assert differences(tree, database_of(tree)) == []


@pytest.mark.parametrize(
    "lines",
    [
        "",
        "search kernel/a extra",
        "search extra updates",
        "search kernel/a/x built-in",
        "search external kernel/b\nexternal * {outside}",
        "search kernel/b external\nexternal 6[.]1 {outside} /nowhere",
        "search kernel/b external\nexternal 7 {outside}",
        "override m-1 * extra",
        "override m_1 * extra",
        "override m-1 ^6\\\\.(1|2) kernel/a\noverride m-1 ^7 kernel/b",
        "override m-1 * extra\noverride m-1 * kernel/b",
        "search external\nexternal * {outside}\nexternal * {beside}",
        "search external\nexternal * {beside}\nexternal * {outside}",
        "exclude a updates\nexclude n.ko",
        "bogus line\nsearch\noverride x\n  # c\nexternal *\n#c\ninclude y\nsearch \\\nkernel/b",
    ],
)
def test_depmod_d_means_the_same(tmp_path: Path, lines: str) -> None:
    tree = empty_tree(tmp_path / "root")
    outside = ModuleTree(tmp_path / "opt", "1")
    for directory in ("kernel/a", "kernel/b", "extra", "updates"):
        add_module(tree, f"{directory}/m-1.ko", aliases=[directory])
    for path in ("kernel/a/n.ko", "kernel/o.ko"):
        add_module(tree, path)
    add_module(outside, "m-1.ko", aliases=["outside"])
    add_module(outside, "sub/p.ko")
    beside = ModuleTree(tmp_path / "beside", "1")
    add_module(beside, "m-1.ko", aliases=["beside"])
    file = tmp_path / "x.conf"
    places = {"outside": outside.directory, "beside": beside.directory}
    file.write_text(lines.format(**places) + "\n")
    ran = run_depmod(tree, "-C", str(file))
    config = read_depmod_config(tree.root, tree.release, paths=[file])
    database = database_of(tree, config)
    assert differences(tree, database) == []
    ours = [f"depmod: {line}" for line in config.problems]
    assert [line for line in ran.stderr.splitlines() if "could not open" not in line] == ours


@pytest.mark.parametrize("directory", ["kernel/a", "kernel/b"])
def test_an_override_has_a_file_by_its_name_up_to_the_first_dot(
    tmp_path: Path, directory: str
) -> None:
    tree = empty_tree(tmp_path / "root")
    for path in ("kernel/a/m-1.x.ko", "kernel/b/m-1.y.ko.xz"):
        add_module(tree, path, aliases=[path])
    file = tmp_path / "x.conf"
    file.write_text(f"override m-1 * {directory}\noverride m-1.x * kernel/a\n")
    run_depmod(tree, "-C", str(file))
    config = read_depmod_config(tree.root, tree.release, paths=[file])
    assert differences(tree, database_of(tree, config)) == []


@pytest.mark.parametrize(
    "edges",
    [
        [("a", "a"), ("b", "a")],
        [("a", "b"), ("b", "a")],
        [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("c", "e")],
        [("snd", "hda"), ("hda", "codec"), ("codec", "jack"), ("jack", "snd"), ("x", "y")],
        [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("e", "e")],
        [("m0", "m4"), ("m4", "m0"), ("m4", "m3"), ("m3", "m2"), ("m5", "m4"), ("m1", "m3")],
        [("m3", "m5"), ("m5", "m3"), ("m5", "m0"), ("m3", "m1"), ("m3", "m3"), ("m0", "m4")],
    ],
)
def test_a_cycle_is_told_in_depmods_words_and_nothing_is_written(
    tmp_path: Path, edges: list[tuple[str, str]]
) -> None:
    tree = empty_tree(tmp_path)
    add_graph(tree, edges)
    lists(tree)
    ran = run_depmod(tree)
    assert ran.returncode == 1
    with pytest.raises(TreeError) as caught:
        database_of(tree)
    said = [line for line in ran.stderr.splitlines() if not NO_CYCLE.search(line)]
    assert [f"depmod: {line}" for line in caught.value.log] == said
    assert not (tree.directory / "modules.dep").exists()

# SPDX-License-Identifier: Apache-2.0
"""A table of situations in which kmod and kmodctl say the same, and leave the same modules.

Each row is a configuration, what is loaded, and a command. kmod runs with a kernel that does what
kmodd's does (tests/support/kmod.py), kmodctl against a daemon on the very same root; compared are
both outputs, the exit status, and what is loaded afterwards with which reference count.

Rows with ``exact`` are those in which kmodctl does better unless it is asked to do as kmod does.
Left out, each for its reason:
- Where kmod 30, which Debian 12 has, differs from the kmod 34 that kmodctl speaks as: lsmod's and
  insmod's options and their usage, ``-n`` without ``-v``, paths as names for modprobe, the words of
  --help and --version, weakdep.
- ``include`` in a configuration: kmod does not tell its line.
- Empty words in $MODPROBE_OPTIONS, between two blanks or behind a quote: kmod takes each for the
  name of a module.
- ``--remove-holders`` that leaves the named module unused: kmod unloads it with what its holder
  needed, and then misses it.
- ``-w`` for a module that stays in use: kmod 30 says nothing and succeeds.
- ``-r -n`` for what a step before would free: kmod goes by the reference counts as they are, and
  takes it to be in use.
- The order of ``-v``'s lines and of what a command writes: in a pipe, kmod's own come last.
- A command that comes back to itself before its module is loaded: kmod begins it again, and again.
- What a signal ends: kmod takes a command that was killed for one that succeeded.
"""

import lzma
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kmodctl.client import Client
from tests.support.daemon import running_daemon
from tests.support.here import Ran, run_here
from tests.support.kmod import Case, build_fake_kernel, make_kernel, run_kmod
from tests.support.modules import SOURCES, module_tree
from tests.support.small_tree import add_graph, empty_tree
from tests.support.tree import ModuleTree

BUILTINS = {
    "stone": ("license=GPL", "description=Built in", "parm=weight:How heavy", "alias=rock*")
}


@dataclass(frozen=True, slots=True)
class Row:
    """One situation. ``failures`` are what the real kernel says that kmodd's says by itself."""

    words: str
    config: str = ""
    loaded: str = ""
    failures: str = ""
    exact: bool = False
    options: str = ""

    @property
    def names_own(self) -> bool:
        """Whether the configuration is not the daemon's but one that the command names."""
        return "-C {" in self.words

    def __str__(self) -> str:
        parts = (self.words, self.config, self.loaded and f"[{self.loaded}]", self.options)
        return " | ".join(filter(None, parts)).replace("\n", "; ")


TABLE = (
    # What a name stands for.
    Row("modprobe -R greet"),
    Row("modprobe -R kmodd-test:x"),
    Row("modprobe -R kmodd-letter:z"),
    Row("modprobe -R kmodd-letter:zz"),
    Row("modprobe -R kmodd-range:[0-9a-f]-"),
    Row("modprobe -R kmodd-range:b-c"),
    Row("modprobe -R front-door"),
    Row("modprobe -R front_door"),
    Row("modprobe -R symbol:greet_somebody"),
    Row("modprobe -R symbol:nothing"),
    Row("modprobe -R nosuch"),
    Row("modprobe -R ''"),
    Row("modprobe -R ["),
    Row("modprobe -R a]b"),
    Row("modprobe -R stone"),
    Row("modprobe -R rocky"),
    Row("modprobe -R greet.ko"),
    Row("modprobe -R -a greet nosuch world"),
    Row("modprobe -R greet world"),
    Row("modprobe -R greet", "alias greet world\nalias gr* hello\n"),
    Row("modprobe -R greet", "alias gr?et stone\n"),
    Row("modprobe -R a", "alias a b\nalias b greet\n"),
    Row("modprobe -R ghost", "install ghost true\n"),
    Row("modprobe -R -a greet world", "alias a\nalias g[ world\n"),
    # What would be done.
    Row("modprobe -D world"),
    Row("modprobe -D world a=1 'b=2 3' c=\"'4 5'\""),
    Row("modprobe -D facade"),
    Row("modprobe -D -i facade"),
    Row("modprobe -D stone"),
    Row("modprobe -D nosuch"),
    Row("modprobe -D -a world facade nosuch stone"),
    Row("modprobe -D world", loaded="world"),
    Row("modprobe -n -v world", loaded="greet"),
    Row("modprobe -n -v world", "install greet cmd\n", loaded="greet"),
    Row("modprobe -D world", "install greet cmd\n", loaded="greet"),
    Row("modprobe -n -v world"),
    Row("modprobe --show-depends --verbose front-door"),
    Row("modprobe -D world x=1", "options world a=1  b=2\noptions greet c=3\n"),
    Row("modprobe -D world", "options world a=1\n"),
    Row("modprobe -D world", "options world\ta=1\tb='2\t3' \n"),
    Row("modprobe -D world '' '' a=1 '' b=2"),
    Row("modprobe -D world ''", "options world a=1\n"),
    Row("modprobe -D front-door", "options front-door a=1\noptions facade b=2\n"),
    Row("modprobe -D x", "alias x* world\noptions x* a=1\noptions x b=2\n"),
    Row("modprobe -D world", "install world cmd $CMDLINE_OPTS end\noptions world a=1\n"),
    Row("modprobe -D world x=1", "install wor* cmd\ninstall world other\n"),
    Row("modprobe -D ghost", "install g* cmd\ninstall ghost other\nremove ghost x\n"),
    Row("modprobe -D ghost", "install g* cmd\nremove ghost x\n"),
    Row("modprobe -D y", "alias y ghost\ninstall g* cmd\ninstall ghost other\n"),
    Row(
        "modprobe -D world", "softdep world pre: ghost\ninstall g* a\ninstall ghost b\n", exact=True
    ),
    Row("modprobe -r -n -v ghost", "remove g* cmd\nremove ghost other\n"),
    Row("modprobe -r -n -v ghost", "remove g* cmd\nremove ghost other\ninstall ghost x\n"),
    Row("modprobe -D -i world", "install world cmd\ninstall greet cmd\n"),
    Row("modprobe -D facade", "install facade cmd\n", exact=True),
    Row("modprobe -D world", "softdep world pre: hello post: facade noexit\n"),
    Row("modprobe -D world", "softdep world pre: hello\nsoftdep world pre: noexit\n", exact=True),
    Row("modprobe -D hello", "softdep hello pre: world\nsoftdep greet pre: hello\n"),
    Row("modprobe -D world", "softdep world pre: world greet post: world\n"),
    Row("modprobe -D world", "blacklist world\n"),
    Row("modprobe -D -b world", "blacklist world\n"),
    Row("modprobe -D -b world", "blacklist greet\n"),
    Row("modprobe -D front-door", "blacklist facade\n"),
    Row("modprobe -D x", "alias x world\nalias x hello\nblacklist world\n"),
    # Loading.
    Row("modprobe world"),
    Row("modprobe -v world"),
    Row("modprobe -v world", loaded="greet"),
    Row("modprobe -v world", loaded="world"),
    Row("modprobe -v wor-ld.ko"),
    Row("modprobe -v front-door"),
    Row("modprobe -a -v greet nosuch hello"),
    Row("modprobe -a nosuch other"),
    Row("modprobe -q nosuch"),
    Row("modprobe -s nosuch"),
    Row("modprobe -s -v world"),
    Row("modprobe -q -a nosuch hello"),
    Row("modprobe nosuch extra"),
    Row("modprobe ''"),
    Row("modprobe ["),
    Row("modprobe stone"),
    Row("modprobe -v stone"),
    Row("modprobe --first-time stone"),
    Row("modprobe --first-time greet", loaded="greet"),
    Row("modprobe --first-time world", loaded="greet"),
    Row("modprobe -v greet times=2 'whom=two words'"),
    Row("modprobe greet times=many", failures="greet=22"),
    Row("modprobe -q greet times=many", failures="greet=22"),
    Row("modprobe -a world hello", "options greet times=many\n", failures="greet=22"),
    Row("modprobe -v world", "options greet times=many\n", failures="greet=22", exact=True),
    Row("modprobe gpluser", failures="gpluser=2"),
    Row("modprobe alien", failures="alien=8"),
    Row("modprobe -v x", "alias x alien\nalias x hello\n", failures="alien=8", exact=True),
    Row("modprobe x", "alias x hello\nalias x alien\n", failures="alien=8"),
    Row("modprobe x", "alias x nowhere\n"),
    Row("modprobe -n -v x", "alias x nowhere\nalias x hello\n", exact=True),
    Row("modprobe -n x", "alias x nowhere\n", exact=True),
    Row("modprobe -D x", "alias x nowhere\n"),
    Row("modprobe -v front-door", "blacklist facade\n"),
    Row("modprobe -b greet", "blacklist greet\n"),
    Row("modprobe -v world", "softdep world pre: alien nosuch post: hello\n", failures="alien=8"),
    # Install commands.
    Row("modprobe world", "install world echo said; echo wrong >&2\n"),
    Row("modprobe world x=1", "install world echo $CMDLINE_OPTS: $MODPROBE_MODULE\n"),
    Row("modprobe world", "install world exit 3\n"),
    Row("modprobe world", "install greet exit 1\n"),
    Row("modprobe -q world", "install world exit 3\n"),
    Row("modprobe -v world", "install world exit 3\n", exact=True),
    Row("modprobe world", "install world true\n", loaded="world"),
    Row("modprobe -i world", "install world exit 3\n"),
    Row("modprobe ghost", "install ghost echo boo\n"),
    Row("modprobe greet", "install greet modprobe -i greet $CMDLINE_OPTS && echo done\n"),
    Row("modprobe greet", "install greet modprobe --ignore-install greet && modprobe -q world\n"),
    Row("modprobe greet", "install greet modprobe -i greet && { modprobe -q world ; : ; }\n"),
    Row("modprobe world", "install greet modprobe -i greet && modprobe -q world\n"),
    Row("modprobe -a hello greet", "install greet modprobe -i greet && modprobe world hello\n"),
    Row(
        "modprobe greet",
        "install greet modprobe -i greet && modprobe world\n"
        "install world modprobe greet && modprobe -i world\n",
    ),
    Row(
        "modprobe greet",
        "install greet modprobe -i greet && modprobe hello\nsoftdep hello pre: greet\n",
    ),
    Row(
        "modprobe greet",
        "install greet modprobe -i greet; modprobe world; exit 3\ninstall world false\n",
    ),
    Row("modprobe greet", "install greet modprobe -i greet && modprobe world\n", loaded="world"),
    Row("modprobe -q greet", "install greet modprobe nosuch\n"),
    Row("modprobe greet", "install greet modprobe -v hello; modprobe -i greet times=3\n"),
    Row("modprobe facade", "install facade echo no\n", exact=True),
    Row("modprobe -a greet hello", "install greet false\n"),
    # Unloading.
    Row("modprobe -r world", loaded="world"),
    Row("modprobe -r -v world", loaded="world"),
    Row("modprobe -r -v greet", loaded="world"),
    Row("modprobe -r -v world", loaded="world facade hello"),
    Row("modprobe -r hello"),
    Row("modprobe -r --first-time hello"),
    Row("modprobe -r --first-time -a hello greet", loaded="greet"),
    Row("modprobe -r nosuch"),
    Row("modprobe -r nosuch greet", loaded="greet"),
    Row("modprobe -r -a nosuch greet", loaded="greet"),
    Row("modprobe -q -r nosuch greet", loaded="greet"),
    Row("modprobe -r stone"),
    Row("modprobe -r [", exact=True),
    Row("modprobe -r ''"),
    Row("modprobe -r greet hello", loaded="world hello"),
    Row("modprobe -r -a greet hello", loaded="world hello"),
    Row("modprobe -r -v --remove-holders hello", loaded="hello"),
    Row("modprobe --remove-dependencies -r world", loaded="world"),
    Row("modprobe -r noexit", loaded="noexit", failures="noexit=16"),
    Row("modprobe -r -w 5 hello", loaded="hello"),
    Row("modprobe -r -n -v -w 99999999999999999999999 hello", loaded="hello"),
    Row("modprobe -r -D world"),
    Row("modprobe -r -n -v hello", loaded="hello"),
    Row("modprobe -r front-door", loaded="facade"),
    Row("modprobe -r x", "alias x hello\nalias x greet\n", loaded="hello world"),
    Row("modprobe -r -v world", "softdep world pre: hello post: noexit\n", loaded="world hello"),
    Row("modprobe -r world", "softdep world post: greet\n", loaded="world", exact=True),
    Row("modprobe -r world", "softdep world pre: stone\n", loaded="world", exact=True),
    Row("modprobe -r -a world", "softdep world post: greet\n", loaded="world", exact=True),
    Row("modprobe -r -q world", "softdep world post: greet\n", loaded="world", exact=True),
    Row("modprobe -r --first-time world", "softdep world pre: hello\n", "world", exact=True),
    Row("modprobe -r -v world", "remove world echo $CMDLINE_OPTS: gone\n", loaded="world"),
    Row("modprobe -r world", "remove world exit 2\n", loaded="world"),
    Row("modprobe -r -a world hello", "remove world exit 2\n", loaded="world hello"),
    Row("modprobe -r -v -i world", "remove world exit 2\n", loaded="world"),
    Row("modprobe -r -v world", "remove world modprobe -r -i world\n", loaded="world"),
    Row("modprobe -r ghost", "remove ghost echo bye\n"),
    Row(
        "modprobe -r greet",
        "remove greet modprobe -r world && modprobe -r -i greet\n",
        loaded="world",
    ),
    Row("modprobe -r hello", "remove hello modprobe -r -i hello && modprobe -r greet\n", "hello"),
    Row(
        "modprobe -r world",
        "remove world modprobe -r -i world; modprobe -r hello\nsoftdep hello pre: greet\n",
        loaded="world hello",
    ),
    # The other tools.
    Row("insmod {extra}/greet.ko"),
    Row("insmod {extra}/greet.ko times=2 loud=1"),
    Row("insmod {extra}/greet.ko times=many", failures="greet=22"),
    Row("insmod {extra}/world.ko", failures="world=2"),
    Row("insmod {extra}/greet.ko", loaded="greet", failures="greet=17"),
    Row("insmod {extra}/alien.ko", failures="alien=8"),
    Row("insmod /nosuch.ko"),
    Row("insmod ''"),
    Row("insmod"),
    Row("insmod -"),
    Row("insmod {extra}"),
    Row("insmod {root}/damaged.ko.xz"),
    Row("modinfo {root}/damaged.ko.xz"),
    Row("insmod --nosuch"),
    Row("rmmod"),
    Row("rmmod greet", loaded="greet"),
    Row("rmmod gre-et hello", loaded="hello"),
    Row("rmmod greet", loaded="world"),
    Row("rmmod world", loaded="world"),
    Row("rmmod greet world", loaded="world"),
    Row("rmmod {extra}/greet.ko", loaded="greet"),
    Row("rmmod noexit", loaded="noexit", failures="noexit=16"),
    Row("rmmod -s -v greet", loaded="greet"),
    Row("rmmod -s nosuch"),
    Row("rmmod -x"),
    Row("lsmod"),
    Row("lsmod", loaded="world hello facade"),
    Row("modinfo"),
    Row("modinfo nosuch"),
    Row("modinfo -m nosuch"),
    Row("modinfo ["),
    Row("modinfo greet nosuch hello"),
    Row("modinfo stone"),
    Row("modinfo -F description stone rocky"),
    Row("modinfo -p greet"),
    Row("modinfo {extra}/greet.ko"),
    Row("modinfo -0 greet"),
    Row("modinfo -F"),
    Row("modinfo --fi=alias facade"),
    # Words that are wrong.
    Row("modprobe"),
    Row("modprobe -r"),
    Row("modprobe -q"),
    Row("modprobe -s"),
    Row("modprobe -n -q -s -w x -Z"),
    Row("modprobe -x greet"),
    Row("modprobe --nosuch=1 greet"),
    Row("modprobe --re greet"),
    Row("modprobe --al=x greet"),
    Row("modprobe -C"),
    Row("modprobe --set-version"),
    Row("modprobe -w 5s -r greet"),
    *(
        Row(f"modprobe -n -r -w '{text}' x")
        for text in ("1_0", "0o7", "+0x1f", "09", "5 ", "\u0663")
    ),
    Row("modprobe --wait= -r greet"),
    Row("modprobe --show-exports /nosuch.ko"),
    Row("modprobe --show-modversions {extra}/world.ko"),
    Row("modprobe --show-exports {extra}/greet.ko"),
    Row("modprobe --show-exports {extra}/hello.ko"),
    Row("modprobe --show-exports {extra}"),
    Row("modprobe --show-exports {root}/damaged.ko.xz"),
    Row("modprobe -a --show-modversions /nosuch.ko"),
    Row("modprobe -a --show-modversions {root}/damaged.ko.xz"),
    Row("modprobe -Da greet -- hello -v"),
    Row("modprobe --dry-run --verb world"),
    Row("modprobe -n -v -q world", exact=True),
    Row("modprobe -q -v nosuch"),
    # Where modprobe finds more to say.
    Row("modprobe world", options="-v"),
    Row("modprobe world", options="-v -a hello"),
    Row("modprobe nosuch", options='"-q"'),
    Row("modprobe -a -n x", options="'no'such a'b 'c"),
    Row("modprobe -a -n x", options="a 'b c"),
    Row("modprobe greet", options="--first-time", loaded="greet"),
    Row(
        "modprobe -c",
        "options a b=1\nblacklist c-d\ninstall e f  g\nalias h-* i\nsoftdep j pre: k\n",
    ),
    Row(
        "modprobe -c",
        "alias a\nnosuch b\n  # c\n#d\noptions e \\\n  f=1\nblacklist g[\nsoftdep h\n",
    ),
    Row("modprobe -D world", "nonsense\noptions world a=1\noptions world\n"),
    Row("modprobe -q nosuch", "nonsense\n"),
    Row("modprobe -r -n hello", "install x\n"),
    # A configuration of one's own.
    Row("modprobe -C {own} -D world", "options world a=1\noptions greet times=3\n"),
    Row("modprobe -C {own} world x=1", "options world a=1\noptions greet times=3\n"),
    Row("modprobe -C {root}/nosuch.conf -D world", "options world a=1\n"),
    Row("modprobe -C {own} -C {own} -D world", "options world a=1\n"),
    Row("modprobe -C {own} -D world", "nonsense\noptions world a=1\n"),
    Row("modprobe -C {own} -v x", "alias x world\nalias x hello\n"),
    Row("modprobe -C {own} -v x", "alias x world\nblacklist world\n"),
    Row("modprobe -C {own} -R x", "alias x world\nalias x hello\n"),
    Row("modprobe -C {own} -c", "options a b=1\nblacklist c\ninstall d e\n"),
    Row("modprobe -C {own} -v world", "softdep world post: greet\n"),
    Row("modprobe -C {own} -v world", "softdep world pre: hello\n", loaded="greet"),
    Row("modprobe -C {own} -v world", "softdep world pre: hello\n", loaded="world"),
    Row("modprobe -C {own} -v world", "install greet cmd\n", loaded="greet"),
    Row("modprobe -C {own} -n -v world", "install greet cmd\n", loaded="greet"),
    Row("modprobe -C {own} -n -v world", loaded="world"),
    Row("modprobe -C {own} -D world", loaded="world"),
    Row("modprobe -C {own} --first-time greet", loaded="greet"),
    Row("modprobe -C {own} --first-time world", "softdep world post: greet\n"),
    Row("modprobe -C {own} world", "options greet times=many\n", failures="greet=22"),
    Row("modprobe -C {own} x", "alias x alien\nalias x hello\n", failures="alien=8"),
    Row("modprobe -C {own} x", "alias x hello\nalias x alien\n", failures="alien=8"),
    Row("modprobe -C {own} -r x", "alias x hello\nalias x greet\n", loaded="hello world"),
    Row("modprobe -C {own} -r x", "alias x greet\nalias x hello\n", loaded="hello world"),
    Row("modprobe -C {own} nosuch"),
    Row("modprobe -C {own} -q nosuch"),
    Row("modprobe -C {own} -a -v nosuch hello"),
    Row("modprobe -C {own} -r -v world", "softdep world pre: hello\n", loaded="world hello"),
    Row("modprobe -C {own} -r world", "softdep world post: greet\n", loaded="world", exact=True),
    Row("modprobe -C {own} -r greet", loaded="world"),
    # Modules that need each other.
    Row("depmod 6.1.0-small"),
    Row("depmod -a 6.1.0-small"),
    # A release that has no tree.
    Row("modprobe -S 9.9-none -c", "alias a b\noptions c d=1\nblacklist e\ninstall f g\n"),
    Row("modprobe -S 9.9-none -R a", "alias a b\nalias a c\n"),
    Row("modprobe -S 9.9-none -R nosuch"),
    Row("modprobe -S 9.9-none -q -R nosuch"),
    Row("modprobe -S 9.9-none -a -R a nosuch", "alias a b\n"),
    Row("modprobe -S 9.9-none -R ghost", "install ghost true\n"),
    Row("modprobe -S 9.9-none greet"),
    Row("modprobe -S 9.9-none -q greet"),
    Row("modprobe -S 9.9-none -D greet"),
    Row("modprobe -S 9.9-none -v ghost", "install ghost true\n"),
    Row("modprobe -S 9.9-none -D ghost", "install ghost true\n"),
    Row("modprobe -S 9.9-none greet", loaded="greet"),
    Row("modprobe -S 9.9-none -r greet", loaded="greet"),
    Row("modprobe -S 9.9-none -r ghost", "remove ghost true\n"),
    Row("modprobe -C {own} -r hello"),
    Row("modprobe -C {own} -r --first-time hello"),
)


class World:
    """A root, a daemon that runs its commands, and kmod on the same root."""

    def __init__(self, tree: ModuleTree, socket: Path, client: Client, work: Path) -> None:
        self.tree = tree
        self.socket = socket
        self.client = client
        self.config = tree.root / "etc/modprobe.d"
        self.own = tree.root / "own.conf"
        self.config.mkdir(parents=True)
        self.library = build_fake_kernel(work)
        self._work = work
        self._rows = 0

    def prepare(self, row: Row) -> Path:
        """Bring the daemon's kernel into the row's state; return the same state for kmod."""
        for _ in range(4):
            for module in self.client.list_modules():
                if not module.reference_count:
                    self.client.remove(module.name, force=True)
        file, other = self.config / "test.conf", self.own
        if row.names_own:
            file, other = other, file
        file.write_text(row.config)
        other.write_text("options hello other=1\n" if row.names_own else "")
        self.client.rebuild_database()
        for name in row.loaded.split():
            self.client.load(name, ignore_install_commands=True)
        self._rows += 1
        return make_kernel(self._work / str(self._rows), self._loaded())

    def _loaded(self) -> list[tuple[str, int, tuple[str, ...]]]:
        listed = self.client.list_modules()
        return [(each.name, each.reference_count, tuple(each.holders)) for each in listed]

    def ours(self, row: Row, words: list[str]) -> tuple[Ran, dict[str, int]]:
        exact = ["--kmod-exact"] if row.exact else []
        ran = run_here(self.socket, *exact, *words, MODPROBE_OPTIONS=row.options)
        output = re.sub(r"^weakdep .*\n", "", ran.output, flags=re.M)
        said = Ran(output, ran.errors, ran.status)
        return said, {name: count for name, count, _ in self._loaded()}

    def theirs(self, row: Row, words: list[str], kernel: Path) -> tuple[Ran, dict[str, int]]:
        place = ["-d", str(self.tree.root), "-S", self.tree.release]
        place += [] if row.names_own else ["-C", str(self.config)]
        environment = {}
        if words[0] == "modprobe":
            environment["MODPROBE_OPTIONS"] = " ".join((*place, row.options)).strip()
        elif words[0] == "modinfo":
            words = ["modinfo", "-b", place[1], "-k", place[3], *words[1:]]
        elif words[0] == "depmod":
            words = ["depmod", "-b", place[1], *words[1:]]
        failures = [(name, int(code)) for name, code in _pairs(row.failures)]
        (ran,) = run_kmod([Case(words, kernel, failures, environment.items())], self.library)
        modules = (kernel / "module").iterdir()
        return ran, {each.name: int((each / "refcnt").read_text()) for each in modules}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    return ((name, code) for name, _, code in (each.partition("=") for each in text.split()))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    tree = module_tree(tmp_path_factory.mktemp("world") / "root")
    image = (SOURCES / "hello.ko").read_bytes()
    alien = image.replace(b"name=hello\0", b"name=alien\0").replace(b" SMP ", b" smp ")
    (tree.directory / "extra/alien.ko").write_bytes(alien)
    cycles = empty_tree(tree.root)
    add_graph(cycles, [("snd", "hda"), ("hda", "jack"), ("jack", "snd"), ("a", "b"), ("b", "a")])
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (cycles.directory / name).touch()
    (tree.root / "damaged.ko.xz").write_bytes(lzma.compress(image)[:300])
    (tree.directory / "modules.builtin").write_text("".join(f"kernel/{n}.ko\n" for n in BUILTINS))
    strings = (f"{name}.{string}\0" for name, each in BUILTINS.items() for string in each)
    (tree.directory / "modules.builtin.modinfo").write_text("".join(strings))
    with (
        running_daemon(tree.root, "--allow-commands", "--no-watch") as daemon,
        daemon.client() as it,
    ):
        yield World(tree, daemon.socket, it, tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_kmod_and_kmodctl_say_and_do_the_same(world: World, row: Row) -> None:
    kernel = world.prepare(row)
    tree = world.tree
    places = {
        "root": tree.root,
        "extra": tree.directory / "extra",
        "own": world.own,
    }
    words = shlex.split(row.words.format(**places))
    theirs, left = world.theirs(row, words, kernel)
    ours, loaded = world.ours(row, words)
    assert ours == theirs
    assert loaded == left


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 80

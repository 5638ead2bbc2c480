# SPDX-License-Identifier: Apache-2.0
"""``kmodctl modinfo`` on modules that nobody would write, beside the machine's own modinfo.

Left out, each for its reason:
- signatures that are not understood: kmod 30 shows nothing of them, kmod without a library for
  cryptography shows which fields there would be, and so does kmodctl;
- ``-m``, which kmod 30 does not have.
"""

import lzma
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from kmodd.modulefile import Compression
from tests.support.compression import (
    LARGEST_DICTIONARY,
    compress,
    xz_with_dictionary,
    zstd_with_window,
)
from tests.support.daemon import Daemon, running_daemon
from tests.support.elf_patch import with_modinfo
from tests.support.elf_writer import SIGNATURE_MARKER, ModuleSpec, append_signature, write_module
from tests.support.here import Ran, run_here
from tests.support.require import require
from tests.support.small_tree import empty_tree
from tests.support.tree import ModuleTree

_PLACE = re.compile(r"(?<=ERROR): \.\./libkmod/[\w.-]+:\d+ \w+(?:\(\))?:? ")
"""What Debian's build adds to libkmod's messages."""

STRINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "plain": (("description", "D"), ("author", "A"), ("author", "B"), ("alias", "al:*")),
    "parameters": (
        ("parm", "a:first"),
        ("parmtype", "a:int"),
        ("parmtype", "b:bool"),
        ("parm", "c:alone"),
        ("parm", "b:second"),
        ("parm", "a:again"),
        ("parmtype", "d:array of int"),
        ("parm", "no colon"),
        ("parmtype", "none either"),
        ("parm", ":of no name"),
        ("parm", "x:"),
        ("parmtype", "x:"),
        ("parm", "z:a:b"),
        ("parmtype", "z:t:u"),
    ),
    "odd": (
        ("", "of no key"),
        ("novalue", ""),
        ("a=b", "c"),
        ("description", "two\nlines\tand \udcff"),
        ("a key", "with a blank"),
        ("of_15_letters_x", "just fits"),
        ("of_16_letters_xx", "is one too long"),
        ("x" * 40, "is 25 too long"),
        ("Alias", "upper"),
        ("filename", "no file's"),
        ("name", "another"),
        ("signer", "nobody"),
    ),
    "both": (("description", "of the file"),),
    "dash-under_line": (("alias", "dash-under_al"), ("alias", "br[a-z]-x")),
    "dots.in.name": (("alias", "dotted"),),
}
EDITED = {
    "appended": b"license=GPL\0description=D\0\n",
    "unended": b"license=GPL\0alias=last:*",
    "lines": b"license=GPL\r\n\0alias=a\nb\0softdep=pre: x\nsoftdep lines post: y\0",
    "newlines": b"license=GPL\nalias=a:*\nname=newlines\n",
    "padded": b"\0\0license=GPL\0\0\0description\0description=\0=\0\0",
    "recoded": "license=GPL\0schlüssel=wert\0".encode() + "größe=1\0größe".encode("latin-1"),
    "wide": "license=GPL\0alias=a".encode("utf-16"),
    "single": b"x",
    "padded_single": b"\0x",
    "pair": b"x\0",
    "empty": b"",
    "zeros": b"\0\0\0",
}
"""What is in ``.modinfo`` of modules that were not left as the compiler made them."""
BUILTIN = (
    b"bi_one.license=GPL\0bi_one.alias=bi:*\0bi_one.parm=p:text\0bi_one.parmtype=p:int\0"
    b"bi_two.name=no module's\0bi_two.filename=none\0bi_two.novalue\0bi_two.=of no key\0"
    b"both.license=of the kernel\0"
)
NAMES = (
    *(
        "plain",
        "parameters",
        "odd",
        "both",
        "dash_under-line",
        "dash-under_al",
        "br[a-z]-x",
        "brb-x",
    ),
    *("al:foo", "dots", "dots.in.name", "dotted", "bi-one", "bi_two", "bi:x", "broken", "unfit"),
    *("nosuch", "", "[", "a]b", "plain.ko", "x" * 5000, "*", "symbol:nosuch"),
)
FORMS: tuple[tuple[str, ...], ...] = (
    *((), ("-0",), ("-p",), ("-n",), ("-a",), ("-p", "-0")),
    *(("-F", field) for field in ("alias", "parm", "parmtype", "name", "filename", "novalue", "")),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A tree of such modules, and a daemon that serves it."""

    tree: ModuleTree
    daemon: Daemon

    def ours(self, *words: str) -> Ran:
        return run_here(self.daemon.socket, "modinfo", *words)

    def theirs(self, *words: str) -> Ran:
        tool = require("modinfo", "the reference is kmod's modinfo")
        command = [tool, "-b", str(self.tree.root), "-k", self.tree.release, *words]
        environment = {**os.environ, "LC_ALL": "C"}
        ran = subprocess.run(command, capture_output=True, check=False, env=environment)
        output, errors = (
            said.decode("utf-8", "surrogateescape") for said in (ran.stdout, ran.stderr)
        )
        return Ran(output, _PLACE.sub(": ", errors), ran.returncode)


def images() -> Iterator[tuple[str, bytes]]:
    """Yield file names, and what the files hold."""
    for name, strings in STRINGS.items():
        yield name, write_module(ModuleSpec(name=name.partition(".")[0], modinfo=strings))
    whole = write_module(ModuleSpec(name="whole"))
    for name, contents in EDITED.items():
        yield name, with_modinfo(whole, contents)
    yield "signed", append_signature(whole, b"\1" * 45, id_type=0, signer=b"Me", key_id=b"\xaa\xbb")
    yield "unfit", append_signature(whole, b"")
    yield "cut", whole + SIGNATURE_MARKER
    yield "broken", whole[:-60]
    yield "none", whole.replace(b".modinfo\0", b".modinfx\0")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    tree = empty_tree(tmp_path_factory.mktemp("modinfo"))
    (tree.directory / "kernel").mkdir()
    for name, image in images():
        (tree.directory / "kernel" / f"{name}.ko").write_bytes(image)
    builtin = "".join(f"kernel/{name}.ko\n" for name in ("bi-one", "bi_two", "both"))
    (tree.directory / "modules.builtin").write_text(builtin)
    (tree.directory / "modules.builtin.modinfo").write_bytes(BUILTIN)
    (tree.directory / "modules.order").touch()
    with running_daemon(tree.root, "--release", tree.release, "--no-watch") as daemon:
        yield Place(tree, daemon)


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_modules_with_odd_strings_are_told_the_same(place: Place, form: Sequence[str]) -> None:
    for name in NAMES:
        assert place.ours(*form, name) == place.theirs(*form, name), name
    assert place.ours(*form, *NAMES) == place.theirs(*form, *NAMES)


@pytest.mark.parametrize("form", [(), ("-n",), ("-F", "signer"), ("-F", "signature", "-0")])
def test_files_are_told_the_same(place: Place, form: Sequence[str]) -> None:
    files = sorted((place.tree.directory / "kernel").iterdir())
    for file in (str(file) for file in files if file.name != "none.ko"):
        assert place.ours(*form, file) == place.theirs(*form, file), file


def compressed() -> Iterator[tuple[str, bytes]]:
    """Yield what people and programs make of a module's file, and what may follow in it."""
    image = write_module(ModuleSpec(name="packed"))
    xz, zst = (compress(image, each) for each in (Compression.XZ, Compression.ZSTD))
    halves = [compress(each, Compression.XZ) for each in (image[:999], image[999:])]
    skipped = b"\x50\x2a\x4d\x18\3\0\0\0abc"
    yield "crc64.ko.xz", lzma.compress(image)
    yield "sha256.ko.xz", lzma.compress(image, check=lzma.CHECK_SHA256)
    filters = [{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2}]
    yield "delta.ko.xz", lzma.compress(image, filters=filters)
    for code in (30, 39, LARGEST_DICTIONARY):
        yield f"dictionary_{code}.ko.xz", xz_with_dictionary(image, code)
    yield "halves.ko.xz", b"".join(halves)
    yield "apart.ko.xz", bytes(4).join(halves) + bytes(8)
    yield "unevenly.ko.xz", bytes(5).join(halves)
    for name, end in (("zeros", bytes(4)), ("three", bytes(3)), ("words", b"and more")):
        yield f"{name}.ko.xz", xz + end
        yield f"{name}.ko.zst", zst + end
    yield "skipped.ko.zst", zst + skipped
    yield "empty.ko.zst", zst + compress(b"", Compression.ZSTD)
    yield "window.ko.zst", zstd_with_window(image, 27)
    yield "windows.ko.zst", zstd_with_window(image, 28, tells_size=False)


def test_compressed_files_are_told_the_same(place: Place, tmp_path: Path) -> None:
    for name, contents in compressed():
        file = tmp_path / name
        file.write_bytes(contents)
        mine, reference = place.ours(str(file)), place.theirs(str(file))
        assert (mine.output, mine.status) == (reference.output, reference.status), name
        assert mine.errors.splitlines()[-1:] == reference.errors.splitlines()[-1:]


@pytest.mark.parametrize(
    ("subject", "options"),
    [
        ("/O=kmodd/CN=Key of the tests", ()),
        ("/CN=first/O=kmodd/CN=second", ()),
        ("/C=DE/O=kmodd/OU=unit", ()),
        ("/O=kmodd/emailAddress=key@kmodd.example", ()),
        ("/", ()),
        ("/1.2.3.4.5=of no known kind", ()),
        ("/CN=Müller", ("-utf8", "-set_serial", "0xf234")),
        ("/CN=zero", ("-set_serial", "0")),
        ("/O=Müller", ("-utf8", "-config", "{config}")),
        ("/CN=negative", ("-set_serial", "-300")),
        ("/CN=md5", ("-md", "md5")),
        ("/CN=sha1", ("-md", "sha1")),
        ("/CN=sha224", ("-md", "sha224")),
    ],
)
def test_signers_are_told_the_same(
    place: Place, tmp_path: Path, subject: str, options: Sequence[str]
) -> None:
    openssl = require("openssl", "modules are signed with openssl")
    key, certificate = str(tmp_path / "key"), str(tmp_path / "certificate")
    image, file = write_module(ModuleSpec(name="signed")), tmp_path / "signed.ko"
    # Names are in an encoding of their own with that configuration (T61String).
    config = tmp_path / "openssl.cnf"
    config.write_text("[req]\nstring_mask = nombstr\ndistinguished_name = empty\n[empty]\n")
    options = [each.format(config=config) for each in options]
    serial = [] if options[:1] == ["-md"] else options
    request = ("req", "-x509", "-nodes", "-newkey", "rsa:1024", "-keyout", key)
    subprocess.run(
        [openssl, *request, "-out", certificate, "-subj", subject, *serial],
        check=True,
        capture_output=True,
    )
    digest = options if options[:1] == ["-md"] else ["-md", "sha256"]
    sign = ("cms", "-sign", "-binary", "-nocerts", "-noattr", "-outform", "DER", *digest)
    message = subprocess.run(
        [openssl, *sign, "-signer", certificate, "-inkey", key],
        input=image,
        check=True,
        capture_output=True,
    ).stdout
    file.write_bytes(append_signature(image, message))
    for form in ((), ("-F", "signer"), ("-F", "sig_hashalgo"), ("-0",)):
        assert place.ours(*form, str(file)) == place.theirs(*form, str(file))


def test_a_file_without_modinfo_is_an_error(place: Place) -> None:
    file = str(place.tree.directory / "kernel" / "none.ko")
    for word in ("none", file):
        mine, reference = place.ours(word), place.theirs(word)
        assert (mine.output, mine.status) == (reference.output, reference.status)
        # So newer kmod says; kmod 30 takes it for a file that is not there.
        assert mine.errors == (
            "modinfo: ERROR: could not get modinfo from 'none': No data available\n"
        )


def test_a_name_that_is_no_utf_8_is_refused(place: Place) -> None:
    for command in ("modinfo", "modprobe", "rmmod"):
        said = run_here(place.daemon.socket, command, "\udcff")
        assert (said.output, said.status) == ("", 1)
        assert said.errors.startswith(f"{command}: ")

# SPDX-License-Identifier: Apache-2.0
"""new: write a module's sources to begin with

Makes the directory NAME with a source, Kbuild, a Makefile and a README. 'kmodctl dev NAME' then
builds the module at each save and runs it in an emulated kernel. --kind tells what it begins as:
hello says that it comes and goes, params has parameters, chardev a character device, proc a file in
/proc, platform a driver of platform devices, workqueue work that is done again and again. What is
there already is never written over. Needs no daemon.
"""

import os

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

KINDS = ("hello", "params", "chardev", "proc", "platform", "workqueue")
"""What a module may begin as; each has a directory in kmodctl/share/templates."""

LONGEST = 55
"""Bytes of a module's name (MODULE_NAME_LEN in linux/module.h, less its end)."""

LONGEST_OF_KIND = {"platform": 23, "workqueue": 23}
"""Where the name is that of something with less room: PLATFORM_NAME_SIZE, WQ_NAME_LEN."""

KEYWORDS = (
    *("asm", "auto", "break", "case", "char", "const", "continue", "default", "do"),
    *("double", "else", "enum", "extern", "float", "for", "goto", "if", "inline"),
    *("int", "long", "register", "restrict", "return", "short", "signed", "sizeof"),
    *("static", "struct", "switch", "typedef", "typeof", "union", "unsigned", "void"),
    *("volatile", "while"),
)
"""C's own words, and the two that gcc adds (gnu11)."""

_TEMPLATES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "share", "templates")

_PLACEHOLDER = "@name@"


def configure(parser: Parser) -> None:
    """Add the arguments of new."""
    add = parser.add_argument
    add(
        *("-k", "--kind"),
        metavar="KIND",
        choices=KINDS,
        default=KINDS[0],
        help=f"what the module begins as: {', '.join(KINDS)} (default: {KINDS[0]})",
    )
    add("name", metavar="NAME", help="the module's name, and its directory's")


def check(options: CommandOptions, output: Output) -> bool:
    """Tell why a name is none for a module."""
    why = refusal(options.name, options.kind)
    if why:
        output.error(f"a module cannot be called '{options.name}': {why}")
    return not why


def is_private(_options: CommandOptions) -> bool:
    """Tell that no daemon is needed."""
    return True


def run_private(options: CommandOptions, output: Output) -> int:
    """Write the files; nothing is left of a directory that cannot be written whole."""
    name, kind = options.name, options.kind
    made: list[str] = []
    try:
        os.mkdir(name)
        for file, text in contents(name, kind).items():
            made.append(file)
            with open(os.path.join(name, file), "x", encoding="utf-8") as out:
                out.write(text)
    except OSError as error:
        output.error(f"{name}: {error.strerror}")
        output.failure(error)
        if not isinstance(error, FileExistsError):
            _remove(name, made)
        return 1
    if output.json:
        output.document({"name": name, "kind": kind, "directory": name, "files": made})
        return 0
    for file in made:
        output.data(os.path.join(name, file))
    return 0


def contents(name: str, kind: str) -> dict[str, str]:
    """Return the text of each file of a new module, by the file's name."""
    sources = {
        f"{name}.c": f"{kind}/module.c",
        "Kbuild": "Kbuild",
        "Makefile": "Makefile",
        "README.md": f"{kind}/README.md",
    }
    return {file: _template(source).replace(_PLACEHOLDER, name) for file, source in sources.items()}


def refusal(name: str, kind: str) -> str:
    """Return why ``name`` cannot be that of a module of a kind, "" where it can.

    It is a file's name to Kbuild (Documentation/kbuild/makefiles.rst), and in the source a part of
    the names of functions.
    """
    longest = LONGEST_OF_KIND.get(kind, LONGEST)
    letters = name.replace("_", "")
    if not name:
        return "it is empty"
    if "-" in name and refusal(name.replace("-", "_"), kind) == "":
        return f"a name in C has no '-'; {name.replace('-', '_')} will do"
    if not name.isascii() or (letters and not letters.isalnum()):
        return "a name in C has letters from A to Z, digits and '_' alone"
    if name[0].isdecimal():
        return "a name in C begins with no digit"
    if len(name) > longest:
        return f"it has {len(name)} letters, and there is room for {longest}"
    if name in KEYWORDS:
        return "it is a word of C's own"
    if not letters:
        return "it has no letter"
    if name == "module":
        return "module_init and module_exit are the kernel's own"
    return ""


def _template(path: str) -> str:
    with open(os.path.join(_TEMPLATES, path), encoding="utf-8") as file:
        return file.read()


def _remove(directory: str, files: list[str]) -> None:
    """Remove what was made of a directory, as far as it was."""
    for file in files:
        try:
            os.remove(os.path.join(directory, file))
        except OSError:
            continue
    try:
        os.rmdir(directory)
    except OSError:
        return

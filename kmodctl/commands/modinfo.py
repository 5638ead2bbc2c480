# SPDX-License-Identifier: Apache-2.0
"""modinfo: tell what modules say of themselves

Takes a module's name, an alias, or a module file, which is read with the caller's own rights.
Prints what the module's author put into it: licence, description, parameters, aliases; and who
signed it. Nothing here is verified.
"""

import os
import stat

from kmodctl.errors import CallError
from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from kmodctl.api import Api
    from kmodctl.local import Place
    from kmodd.messages.database_service import ModuleInfo, ModuleInfoField

_SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
_HEX_PER_LINE = 20

_FIELDS = {
    "-a": ("--author", "author"),
    "-d": ("--description", "description"),
    "-l": ("--license", "license"),
    "-p": ("--parameters", "parm"),
    "-n": ("--filename", "filename"),
}


def configure(parser: Parser) -> None:
    """Add modinfo's arguments."""
    add = parser.add_argument
    for letter, (option, field) in _FIELDS.items():
        text = f"print only '{field}'"
        add(letter, option, dest="field", action="store_const", const=field, help=text)
    add("-0", "--null", action="store_true", help="end each line with a NUL byte, not a newline")
    add("-m", "--modname", action="store_true", help="take names for modules', not for aliases")
    add("-F", "--field", metavar="FIELD", help="print only this field")
    add("-b", "--basedir", metavar="DIR", help="the system root that the module trees are in")
    add("-k", "--set-version", dest="release", metavar="VERSION", default="", help="the release")
    add("modules", metavar="MODULE|FILE", nargs="*", help="a module's name, an alias or a file")


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for something to tell of."""
    if not options.modules:
        output.error("missing module or filename.")
    return bool(options.modules)


def place(options: CommandOptions) -> "Place | None":
    """Another root is looked at here."""
    if options.basedir is None:
        return None
    from kmodctl.local import place_beside

    return place_beside(options.daemon, options.basedir, options.release)


def is_private(options: CommandOptions) -> bool:
    """Tell whether files are all that is asked about."""
    return not options.modname and all(map(_is_module_file, options.modules))


def run_private(options: CommandOptions, output: Output) -> int:
    """Tell of each file."""
    return run(options, options.daemon, output)  # which is not asked


def only_asks(_options: CommandOptions) -> bool:
    """Tell that nothing is changed."""
    return True


def asks_about_files(options: CommandOptions) -> bool:
    """Tell whether a release is named."""
    return bool(options.release)


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Tell of each name; the status is that of all of them."""
    found: list[ModuleInfo | dict[str, Any]] = []
    failed = False
    for name in options.modules:
        try:
            infos = _infos(name, options, api, symbols=output.json)
        except CallError as error:
            output.error(_words(name, options, error))
            if output.json:
                found.append(output.failed(error, name=name))
            failed = True
            continue
        found += infos
        for info in infos:
            if not output.json:
                output.raw("".join(_lines(info, options, output)))
            failed |= _complain(info, options, output)
    if output.json:
        output.messages(found)
    return int(failed)


def _infos(name: str, options: CommandOptions, api: "Api", *, symbols: bool) -> "list[ModuleInfo]":
    """Return what there is to tell; of a file, with ``symbols`` these, too."""
    if options.modname or not _is_module_file(name):
        from kmodd.messages.database_service import GetModuleInfoRequest

        request = GetModuleInfoRequest(
            name=name, release=options.release, module_name_only=options.modname
        )
        return api.databases.get_module_info(request).modules
    from kmodctl.local import inspect

    path = name if name.startswith("/") else f"{os.getcwd()}/{name}"
    try:
        info = inspect(name, symbols=symbols)
    except OSError as error:
        from kmodd.messages.database_service import ModuleInfo

        module = os.path.basename(name).partition(".")[0].replace("-", "_")
        info = ModuleInfo(name=module, error=str(error.strerror), error_errno=error.errno or 0)
    info.path = path
    return [info]


def _is_module_file(name: str) -> bool:
    try:
        return name.endswith(_SUFFIXES) and stat.S_ISREG(os.stat(name).st_mode)
    except (OSError, ValueError):
        return False


def _words(name: str, options: CommandOptions, error: CallError) -> str:
    if error.reason not in ("MODULE_NOT_FOUND", "INVALID_NAME", "TREE_NOT_FOUND"):
        return error.message
    unmatched = error.reason == "INVALID_NAME" and not {"[", "]"}.isdisjoint(name)
    kind = "name " if options.modname else "alias " if unmatched else ""
    return f"Module {kind}{name} not found."


def _complain(info: "ModuleInfo", options: CommandOptions, output: Output) -> bool:
    """Say why a file could not be read, unless nothing of it was asked for."""
    if not info.error or options.field == "filename":
        return False
    words = os.strerror(info.error_errno) if info.error_errno else info.error
    output.error(f"could not get modinfo from '{info.name}': {words}")
    return True


def _lines(info: "ModuleInfo", options: CommandOptions, output: Output) -> "Iterator[str]":
    """Yield what modinfo prints of a module, each piece with the byte that ends it."""
    end = "\0" if options.null else "\n"
    file_name = info.path or "(builtin)"
    if options.field == "filename":
        yield file_name + end
        return
    if info.builtin and not info.path:
        if options.field == "name":
            yield info.name + end
        if options.field is None:
            yield f"{'name:':<16}{info.name}{end}"
    if options.field is None:
        yield f"{'filename:':<16}{file_name}{end}"
    if options.field == "parm":
        for name, text, kind in _parameters(info.fields, output):
            yield _parameter(name, text, kind, brackets=True) + end
        return
    if options.field is not None:
        yield from (value + end for key, value in _all_fields(info) if key == options.field)
        return
    yield from (_pair(key, value, options.null) + end for key, value in _shown_fields(info))
    for name, text, kind in _parameters(info.fields, output):
        yield f"{'parm:':<16}{_parameter(name, text, kind, brackets=False)}{end}"


def _pair(key: str, value: str, null: bool) -> str:
    # A key for which the column is too narrow has as many blanks behind it as it is too long.
    blanks = abs(15 - len(os.fsencode(key)))
    return f"{key}={value}" if null else f"{key}:{' ' * blanks}{value}"


def _all_fields(info: "ModuleInfo") -> "Iterator[tuple[str, str]]":
    """Yield all that can be asked for by its name."""
    yield from ((_key(field), _value(field)) for field in info.fields)
    if info.build_id:
        yield "build-id", _hex(info.build_id)
    signature = info.signature
    if signature is not None:
        yield "sig_id", signature.id
        raw = signature.raw_signer
        yield "signer", raw.decode("utf-8", "surrogateescape") if raw else signature.signer
        yield "sig_key", _hex(signature.key_id)
        yield "sig_hashalgo", signature.hash_algorithm
        yield "signature", _hex(signature.value)


def _shown_fields(info: "ModuleInfo") -> "Iterator[tuple[str, str]]":
    """Yield what is printed of itself: all but parameters, which come last, and the build's id.

    kmod began to print that after version 34; scripts that compare would see it.
    """
    hidden = ("parm", "parmtype", "build-id")
    return ((key, value) for key, value in _all_fields(info) if key not in hidden)


def _parameters(
    fields: "Iterable[ModuleInfoField]", output: Output
) -> list[tuple[str, str | None, str | None]]:
    """Return name, description and type of each parameter, the last one mentioned first."""
    found: dict[str, dict[str, str]] = {}
    for field in fields:
        if field.key not in ("parm", "parmtype"):
            continue
        value = _value(field)
        name, colon, text = value.partition(":")
        if colon:
            found.setdefault(name, {})[field.key] = text
        else:
            output.error(f"Found invalid \"{field.key}={value}\": missing ':'")
    named = reversed(found.items())
    return [(name, texts.get("parm"), texts.get("parmtype")) for name, texts in named]


def _parameter(name: str, text: str | None, kind: str | None, *, brackets: bool) -> str:
    if text is None:
        return f"{name}: ({kind})" if brackets else f"{name}:{kind}"
    return f"{name}:{text}" if kind is None else f"{name}:{text} ({kind})"


def _key(field: "ModuleInfoField") -> str:
    """Return the field's key, with bytes that are not UTF-8 as surrogates."""
    return field.raw_key.decode("utf-8", "surrogateescape") if field.raw_key else field.key


def _value(field: "ModuleInfoField") -> str:
    """Return the field's value, in the same way."""
    return field.raw_value.decode("utf-8", "surrogateescape") if field.raw_value else field.value


def _hex(data: bytes) -> str:
    """Return bytes as modinfo prints them, 20 in a line."""
    rows = [data[at : at + _HEX_PER_LINE] for at in range(0, len(data), _HEX_PER_LINE)]
    return ":\n\t\t".join(row.hex(":").upper() for row in rows)

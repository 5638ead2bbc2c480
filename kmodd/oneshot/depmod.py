# SPDX-License-Identifier: Apache-2.0
"""depmod for one caller: another root, output or configuration, with the caller's own rights.

The shared daemon never opens a path that a caller names. All that names one ``kmodctl depmod``
therefore does in its own process.
"""

from __future__ import annotations

import errno
import os
import sys

from kmodd.config.depmod import DepmodConfig, read_depmod_config
from kmodd.database.build import in_order
from kmodd.database.files import alias_block
from kmodd.database.publish import publish
from kmodd.database.rebuild import rebuild
from kmodd.database.text import decode, encode
from kmodd.database.walk import full_path
from kmodd.errors import KmoddError, Reason, TreeError
from kmodd.names import module_name_of_path, symbol_key
from kmodd.records import record as values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

    from kmodd.database import Database

FILE_MAX = 64 << 20
"""Bytes of a Module.symvers or System.map that are read at most."""


_NO_SYMBOLS = {"strings"}
"""What a System.map without exports may seem to name: the section of names has such a symbol."""


@values(kw_only=True)
class Order:
    """What depmod(8) was asked for, by its options.

    ``base`` (-b), ``module_directory`` (-m) and ``output`` (-o) are directories; the trees are in
    BASE/MODULE_DIRECTORY/RELEASE. ``config`` (-C) stands in for the system's depmod.d. ``symvers``
    (-E) or ``system_map`` (-F) tell ``report_symbols`` (-e) what the kernel itself has.
    ``print_only`` is -n, ``warn_duplicates`` -w, ``symbol_prefix`` -P. ``files`` are absolute
    paths of the modules to look at in place of all.
    """

    release: str
    base: str = "/"
    module_directory: str = "/lib/modules"
    output: str = ""
    config: tuple[str, ...] = ()
    symvers: str = ""
    system_map: str = ""
    report_symbols: bool = False
    print_only: bool = False
    warn_duplicates: bool = False
    verbose: bool = False
    symbol_prefix: str = ""
    files: tuple[str, ...] = ()

    def directory_below(self, root: str) -> str:
        """Return the release's directory below ``root``."""
        return f"{root.rstrip('/')}/{self.module_directory.strip('/')}/{self.release}"


def carry_out(order: Order) -> Iterator[str]:
    """Build the databases as ``order`` says, and yield what depmod says meanwhile on stderr.

    What it prints on stdout (-n, -v) is printed. Raises KmoddError; of a cycle, once all has been
    told that is known without an order to load modules in.
    """
    kernel = _kernel_symbols(order)
    _check_files(order.files)
    database = rebuild(
        order.directory_below(order.base),
        order.release,
        config=_config(order),
        only=order.files or None,
        symbol_prefix=order.symbol_prefix,
        leave_out=True,
        lasting=False,
        forks=True,
    )
    yield from database.inventory.problems
    if order.verbose:
        _print(sys.stdout, _needs(database))
    if order.report_symbols:
        yield from _symbol_problems(order, database, kernel)
    if database.cycles:
        raise database.cycles
    if database.unwritable:
        raise TreeError(Reason.LIMIT_REACHED, database.unwritable)
    yield from _file_problems(order, database)
    if order.print_only:
        texts = (text for name, text in database.files.items() if not name.endswith(".bin"))
        sys.stdout.buffer.writelines(texts)
        sys.stdout.flush()
        return
    output = order.directory_below(order.output or order.base)
    _make_directory(output)
    publish(database.files, output)


def _make_directory(path: str) -> None:
    """Make the directory to write to, which need not be that of a tree (-o)."""
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as error:
        raise TreeError(
            Reason.TREE_NOT_WRITABLE,
            f"{path}: {os.strerror(error.errno or 0)}",
            errno=error.errno or 0,
            detail=path,
        ) from error


def _config(order: Order) -> DepmodConfig:
    """Return the configuration, which tells what to look at in a tree: none for named files."""
    if order.files:
        return DepmodConfig()
    return read_depmod_config("/", order.release, paths=order.config or None)


def _kernel_symbols(order: Order) -> Mapping[str, int | None]:
    """Return the kernel's own symbols with their CRCs, from the file that was named.

    It is opened even where nobody asks for them: who names a file that is not there is told.
    """
    path = order.symvers or order.system_map
    if not path:
        return {}
    try:
        with open(path, "rb") as file:
            data = file.read(FILE_MAX)
    except OSError as error:
        raise TreeError(
            Reason.TREE_UNREADABLE, f"could not load {path}: {error.strerror}", detail=path
        ) from error
    if not order.report_symbols:
        return {}
    if order.symvers:
        from kmodd.modulefile.symvers import read_symvers

        return {name: symbol.crc for name, symbol in read_symvers(data).items()}
    from kmodd.database.symbols import read_system_map

    return read_system_map(data)


def _symbol_problems(
    order: Order, database: Database, kernel: Mapping[str, int | None]
) -> Iterator[str]:
    """Yield what -e warns of.

    Debian ships a stub of a System.map. By one that names nothing, every module would want all
    that it needs of the kernel: that is said once.
    """
    if order.system_map and not order.symvers and kernel.keys() <= _NO_SYMBOLS:
        yield (
            f"WARNING: {order.system_map} is a stub that names no symbol of a kernel: "
            "what modules need is not checked"
        )
        return
    from kmodd.database.symbols import symbol_problems

    yield from symbol_problems(database, kernel, versions=bool(order.symvers))


def _check_files(paths: Iterable[str]) -> None:
    """Raise TreeError (TREE_UNREADABLE) for a file that is not there, or of a module named before.

    What else may be wrong with one is a problem, and no error.
    """
    names: set[str] = set()
    for path in paths:
        name = module_name_of_path(path)
        why = os.strerror(errno.EEXIST) if name in names else ""
        try:
            os.stat(path)
        except OSError as error:
            why = os.strerror(error.errno or 0)
        if why:
            raise TreeError(
                Reason.TREE_UNREADABLE, f"could not create module {path}: {why}", detail=path
            )
        names.add(name)


def _needs(database: Database) -> Iterator[str]:
    """Yield which module needs which other one for its sake, a line for each pair."""
    prefix = database.symbol_prefix
    modules = in_order(database.inventory).values()
    owners = {
        symbol.removeprefix(prefix): record for record in modules for symbol, _ in record.exports
    }
    for record in modules:
        told: set[str] = set()
        for symbol in (symbol_key(name, prefix) for name in record.imports):
            owner = owners.get(symbol)
            if owner is None or owner is record or owner.name in told:
                continue
            told.add(owner.name)
            paths = [full_path(database.directory, each.path) for each in (record, owner)]
            yield f'{paths[0]} needs "{symbol}": {paths[1]}'


def _file_problems(order: Order, database: Database) -> Iterator[str]:
    """Yield what depmod warns of as it makes each file; where it prints, it makes no index."""
    for name in database.files:
        if order.print_only and name.endswith(".bin"):
            continue
        if order.warn_duplicates and name == "modules.alias.bin":
            yield from _alias_problems(database)
        else:
            yield from database.file_problems.get(name, ())


def _alias_problems(database: Database) -> Iterator[str]:
    """Yield what is wrong with aliases, and which its module has already, however it is spelled."""
    for record in database.modules.values():
        seen: set[bytes] = set()
        for alias in record.aliases:
            block = alias_block(record.name, (alias,))
            yield from block.problems
            if not seen.isdisjoint(block.keys):
                yield f"WARNING: duplicate module alias:\n{decode(block.keys[0])} {record.name}"
            seen.update(block.keys)


def _print(stream: TextIO, lines: Iterable[str]) -> None:
    """Print lines in which paths are the bytes that they are."""
    for line in lines:
        stream.buffer.write(encode(f"{line}\n"))
    stream.flush()


def depmod(order: Order) -> int:
    """Carry out ``order`` and say what depmod says; returns its exit status."""
    try:
        _print(sys.stderr, (f"depmod: {line}" for line in carry_out(order)))
    except KmoddError as error:
        _complain(error)
        return 1
    return 0


def _complain(error: KmoddError) -> None:
    lines = list(error.log) or [f"ERROR: {error.message}"]
    if error.reason is Reason.TREE_NOT_FOUND:
        lines = [
            f"ERROR: could not open directory {error.detail}: No such file or directory",
            "FATAL: could not search modules: No such file or directory",
        ]
    elif error.reason is Reason.TREE_UNREADABLE:
        lines = [f"FATAL: {error.message}"]
    _print(sys.stderr, (f"depmod: {line}" for line in lines))

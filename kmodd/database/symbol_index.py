# SPDX-License-Identifier: Apache-2.0
"""modules.symbols and its index, byte for byte as kmod v34 (tools/depmod.c).

They are an assistant's work, so what is imported here is light, and what comes of it can be
marshalled.
"""

from __future__ import annotations

from kmodd.database import text
from kmodd.database.hashing import SYMBOL_BUCKETS, in_chain_order
from kmodd.database.index_keys import IndexKeys
from kmodd.database.name_index import index_of, index_row, write_name_index
from kmodd.records import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set
    from typing import Any, TypeAlias

    from kmodd.database.name_index import NameIndex

SymbolOrder: TypeAlias = "tuple[tuple[int, bytes], ...]"
"""Symbols in the order of depmod's hash table, each after the number of its chain."""


@record(kw_only=True)
class SymbolPart:
    """The files of symbols, and what the next ones may take over.

    ``symbols`` and ``owners`` are what they are made of, but for the order of the modules.
    """

    files: Mapping[str, bytes]
    problems: Mapping[str, tuple[str, ...]]
    index: NameIndex
    order: SymbolOrder
    symbols: tuple[str, ...]
    owners: tuple[str, ...]


def symbol_files(
    names: Sequence[str],
    owners: Mapping[str, int],
    previous: SymbolPart | None = None,
    *,
    lasting: bool = True,
) -> SymbolPart:
    """Return modules.symbols and its index: which module each exported symbol belongs to.

    ``owners`` gives each symbol's module by its place among ``names``. What is not ``lasting`` is
    of no use as the ``previous`` one of the next.
    """
    symbols = tuple(owners)
    found = tuple(map(names.__getitem__, owners.values()))
    modules = [text.encode(name) for name in names]
    if (
        previous
        and previous.index.owners
        and (previous.symbols, previous.owners) == (symbols, found)
    ):
        # Most modules export nothing, and with such a one the priorities alone are others.
        index = write_name_index(previous.index.owners, modules, previous.index, lasting=lasting)
        files = {**previous.files, "modules.symbols.bin": index.data}
        return replace(previous, files=files, index=index)
    encoded = text.encode("\0".join(symbols)).split(b"\0") if symbols else []
    owner_of = dict(zip(encoded, map(modules.__getitem__, owners.values()), strict=True))
    order = _symbol_order(owner_of.keys(), previous.order if previous else ())
    alone = {name: (name,) for name in modules}
    keyed = [b"symbol:%b" % symbol for _, symbol in order]
    theirs = [owner_of[symbol] for _, symbol in order]
    lines = [b"# Aliases for symbols, used by symbol_request().\n"]
    lines += [b"alias %b %b\n" % pair for pair in zip(keyed, theirs, strict=True)]
    entries = dict(zip(keyed, map(alone.__getitem__, theirs), strict=True))
    keys = IndexKeys()
    if not b"".join(entries).isascii():
        entries = {key: owner for key, owner in entries.items() if keys.holds(key)}
    known = previous.index if previous else None
    index = write_name_index(entries, modules, known, lasting=lasting)
    return SymbolPart(
        files={"modules.symbols": b"".join(lines), "modules.symbols.bin": index.data},
        problems={"modules.symbols.bin": tuple(keys.problems)},
        index=index,
        order=order,
        symbols=symbols,
        owners=found,
    )


def _symbol_order(symbols: Set[bytes], known: SymbolOrder) -> SymbolOrder:
    """Return ``symbols`` in the order of depmod's hash table; only those not ``known`` are new.

    Hashing all of Debian's takes 15 ms.
    """
    order = [each for each in known if each[1] in symbols]
    new = symbols - {key for _, key in order}
    if not new:
        return tuple(order)
    order += in_chain_order(new, SYMBOL_BUCKETS)
    order.sort()
    return tuple(order)


def symbol_row(names: tuple[str, ...], owners: dict[str, int], lasting: bool) -> tuple[Any, ...]:
    """Return what ``symbol_files`` makes, as an assistant hands it back.

    What it is made of is not in there: who asks for it has that.
    """
    made = symbol_files(names, owners, lasting=lasting)
    return dict(made.files), dict(made.problems), index_row(made.index), made.order


def symbol_part_of(
    row: tuple[Any, ...], names: tuple[str, ...], owners: Mapping[str, int]
) -> SymbolPart:
    """Return what ``symbol_row`` handed back, which it has made of ``names`` and ``owners``."""
    files, problems, index, order = row
    return SymbolPart(
        files=files,
        problems=problems,
        index=index_of(index),
        order=order,
        symbols=tuple(owners),
        owners=tuple(map(names.__getitem__, owners.values())),
    )

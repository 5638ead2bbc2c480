# SPDX-License-Identifier: Apache-2.0
"""The modprobe configuration as one immutable value (modprobe.d(5)).

Names and patterns are spelled with underscores, as kmod compares them; the texts of options and
commands are as written. Each entry knows the file and the line that it comes from.
"""

from __future__ import annotations

import os

from kmodd.globs import PatternTable
from kmodd.records import kept, record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TREE_SOFTDEPS = "modules.softdep"
"""The file of a module tree whose lines kmod sorts in among the configuration files."""

TREE_WEAKDEPS = "modules.weakdep"
"""The same for weak dependencies."""

SPACES = str.maketrans("\t\n\v\f\r", " " * 5)
"""Makes blanks of what else isspace(3) calls a space in the C locale (str.translate)."""


@record
class Alias:
    """``alias PATTERN MODULE``: names that match the pattern stand for the module."""

    pattern: str
    module: str
    file: str = ""
    line: int = 0


@record
class Blacklist:
    """``blacklist MODULE``: the module is not loaded on behalf of an alias."""

    module: str
    file: str = ""
    line: int = 0


@record
class Options:
    """``options MODULE TEXT``: parameters for a module, or for what an alias stands for."""

    module: str
    text: str
    file: str = ""
    line: int = 0


@record
class Command:
    """``install`` or ``remove PATTERN COMMAND``: a shell command instead of the system call."""

    pattern: str
    command: str
    file: str = ""
    line: int = 0


@record
class SoftDependency:
    """``softdep PATTERN pre: ... post: ...``: what is loaded before and after, if it can be.

    ``pre`` and ``post`` are names or aliases as written.
    """

    pattern: str
    pre: tuple[str, ...]
    post: tuple[str, ...]
    file: str = ""
    line: int = 0


@record
class WeakDependency:
    """``weakdep PATTERN MODULES``: what the module may ask for by itself; never loaded for it."""

    pattern: str
    modules: tuple[str, ...]
    file: str = ""
    line: int = 0


Directive = Alias | Blacklist | Options | Command | SoftDependency | WeakDependency
"""A line of the configuration; ``file`` and ``line`` are where it stands."""


@record(eq=False, slots=False)
class Config:
    """Every directive in force, each kind in the order in which kmod reads it.

    ``problems`` say which lines or files were not understood, ``files`` are the paths of those
    read, ``unread`` say which directories and files there was an objection to. Two configurations
    are never equal unless they are the same one: the tables that answer the questions below are
    made on the first question and kept, which is why there are no slots.
    """

    aliases: tuple[Alias, ...] = ()
    blacklist: tuple[Blacklist, ...] = ()
    options: tuple[Options, ...] = ()
    installs: tuple[Command, ...] = ()
    removes: tuple[Command, ...] = ()
    softdeps: tuple[SoftDependency, ...] = ()
    weakdeps: tuple[WeakDependency, ...] = ()
    problems: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def aliases_of(self, name: str) -> tuple[Alias, ...]:
        """Return all aliases whose pattern matches ``name``, in order."""
        return self._alias_table.select(name)

    def is_blacklisted(self, module: str) -> bool:
        """Tell whether ``module`` is blacklisted, by its exact name."""
        return module in self._blacklisted

    def options_of(self, module: str, alias: str = "") -> str:
        """Return all options of ``module`` and of the alias it was asked for by, one space apart.

        Options are for exact names: those under a pattern are for the alias spelled like it.
        """
        found = self._options_by_name.get(module, [])
        if alias and alias != module:
            found = sorted([*found, *self._options_by_name.get(alias, [])])
        return " ".join(text for _, text in found) if found else ""

    def install_of(self, module: str, *, named: bool = False) -> str | None:
        """Return the command that the first matching ``install`` gives, if there is one.

        ``named`` is for a name that only its commands make a module (``has_command``): of those
        the first ``install`` for exactly this name comes before all patterns.
        """
        own = self._own_installs.get(module) if named else None
        return self._install_table.first(module) if own is None else own

    def remove_of(self, module: str, *, named: bool = False) -> str | None:
        """Return the command that the first matching ``remove`` gives, if there is one.

        ``named`` is as for installs, but counts only where no ``install`` is for exactly this
        name: libkmod looks for no more than one line then.
        """
        named = named and module not in self._own_installs
        own = self._own_removes.get(module) if named else None
        return self._remove_table.first(module) if own is None else own

    def has_command(self, name: str) -> bool:
        """Tell whether an ``install`` or ``remove`` line is for exactly this name."""
        return name in self._own_installs or name in self._own_removes

    def softdeps_of(self, module: str, own: Sequence[str] = ()) -> tuple[SoftDependency, ...]:
        """Return the soft dependencies that are for ``module``, in order.

        ``own`` are the module's own, as its file has them: the lines that modules.softdep holds
        for it. They come where that file's name sorts among those of the configuration, after a
        line in ``a.conf`` and before one in ``z.conf``.
        """
        before, after = self._softdep_tables
        lines = (parse_softdep(module, text, TREE_SOFTDEPS) for text in own)
        return (*before.select(module), *lines, *after.select(module))

    def soft_names_of(
        self, module: str, own: Sequence[str] = (), *, first_only: bool = False
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names to load before and after ``module``, each once.

        All of its soft dependencies add up; with ``first_only`` only the first of them counts, as
        in kmod, where a line in ``a.conf`` replaces what the module's author wrote.
        """
        entries = self.softdeps_of(module, own)
        if first_only:
            first = entries[:1]
            return next(((entry.pre, entry.post) for entry in first), ((), ()))
        before = dict.fromkeys(name for entry in entries for name in entry.pre)
        after = dict.fromkeys(name for entry in entries for name in entry.post)
        return tuple(before), tuple(after)

    def with_tree(
        self, softdeps: Iterable[tuple[str, str]], weakdeps: Iterable[tuple[str, str]]
    ) -> Config:
        """Return this configuration with a tree's modules.softdep and .weakdep sorted in.

        It is what ``modprobe -c`` shows; each line comes as (module, text).
        """
        soft = [parse_softdep(name, text, TREE_SOFTDEPS) for name, text in softdeps]
        weak = [parse_weakdep(name, text, TREE_WEAKDEPS) for name, text in weakdeps]
        soft_at = sum(_sorts_before(entry.file, TREE_SOFTDEPS) for entry in self.softdeps)
        weak_at = sum(_sorts_before(entry.file, TREE_WEAKDEPS) for entry in self.weakdeps)
        return replace(
            self,
            softdeps=(*self.softdeps[:soft_at], *soft, *self.softdeps[soft_at:]),
            weakdeps=(*self.weakdeps[:weak_at], *weak, *self.weakdeps[weak_at:]),
        )

    @kept
    def _alias_table(self) -> PatternTable[Alias]:
        return PatternTable((entry.pattern, entry) for entry in self.aliases)

    @kept
    def _blacklisted(self) -> frozenset[str]:
        return frozenset(entry.module for entry in self.blacklist)

    @kept
    def _options_by_name(self) -> dict[str, list[tuple[int, str]]]:
        table: dict[str, list[tuple[int, str]]] = {}
        for position, entry in enumerate(self.options):
            table.setdefault(entry.module, []).append((position, entry.text))
        return table

    @kept
    def _install_table(self) -> PatternTable[str]:
        return PatternTable((entry.pattern, entry.command) for entry in self.installs)

    @kept
    def _remove_table(self) -> PatternTable[str]:
        return PatternTable((entry.pattern, entry.command) for entry in self.removes)

    @kept
    def _own_installs(self) -> dict[str, str]:
        return {entry.pattern: entry.command for entry in reversed(self.installs)}

    @kept
    def _own_removes(self) -> dict[str, str]:
        return {entry.pattern: entry.command for entry in reversed(self.removes)}

    @kept
    def _softdep_tables(self) -> tuple[PatternTable[SoftDependency], PatternTable[SoftDependency]]:
        before = [entry for entry in self.softdeps if _sorts_before(entry.file, TREE_SOFTDEPS)]
        after = [entry for entry in self.softdeps if not _sorts_before(entry.file, TREE_SOFTDEPS)]
        return (
            PatternTable((entry.pattern, entry) for entry in before),
            PatternTable((entry.pattern, entry) for entry in after),
        )


def parse_options(module: str, text: str, file: str, line: int = 0) -> Options:
    """Return the options that ``text`` has for a module; tabs are blanks there, as in libkmod."""
    return Options(module, text.replace("\t", " "), file, line)


def parse_softdep(pattern: str, text: str, file: str, line: int = 0) -> SoftDependency:
    """Return a softdep's meaning; words before the first ``pre:`` or ``post:`` mean nothing."""
    sides: dict[str, list[str]] = {"pre:": [], "post:": []}
    side: list[str] = []
    for word in split_words(text):
        if word in sides:
            side = sides[word]
        else:
            side.append(word)
    return SoftDependency(pattern, tuple(sides["pre:"]), tuple(sides["post:"]), file, line)


def parse_weakdep(pattern: str, text: str, file: str, line: int = 0) -> WeakDependency:
    """Return a weakdep's meaning: all the words of its text."""
    return WeakDependency(pattern, tuple(split_words(text)), file, line)


def split_words(text: str) -> list[str]:
    """Split at what isspace(3) calls a space in the C locale; str.split knows more than that."""
    return [word for word in text.translate(SPACES).split(" ") if word]


def _sorts_before(file: str, name: str) -> bool:
    """Tell whether the base name of ``file`` comes before ``name`` in strcmp(3)'s order."""
    return os.fsencode(os.path.basename(file)) < os.fsencode(name)

# SPDX-License-Identifier: Apache-2.0
"""A database's files, of which large ones are in memory only until they are written.

modules.dep and its index have a line of paths for each module, 140 MB in a tree of 64,000. What
they are made of takes a tenth of that, and is kept for plans anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kmodd.database.parts import Part


class LargeFiles(Mapping[str, bytes]):
    """Files, by name, that can be let go, and are made again when one of them is asked for.

    ``make`` makes the same bytes each time, of what others keep anyway. Safe to share between
    threads.
    """

    def __init__(self, files: Mapping[str, bytes], make: Callable[[], Mapping[str, bytes]]) -> None:
        self._names = tuple(files)
        self._files: Mapping[str, bytes] | None = files
        self._make = make

    def __getitem__(self, name: str) -> bytes:
        if name not in self._names:
            raise KeyError(name)
        return (self._files or self._make())[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def let_go(self) -> bool:
        """Keep the bytes no longer, and tell whether they were kept."""
        kept, self._files = self._files is not None, None
        return kept


class DatabaseFiles(Mapping[str, bytes]):
    """All files of a database, by name, in the order of its parts."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._files = {name: part.files for part in parts for name in part.files}

    def __getitem__(self, name: str) -> bytes:
        return self._files[name][name]

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def part(self, name: str) -> Mapping[str, bytes]:
        """Return the files of the part that the file ``name`` is of; raises KeyError."""
        return self._files[name]


def let_go(files: Mapping[str, bytes]) -> bool:
    """Keep the bytes of large files no longer, and tell whether some were kept."""
    if not isinstance(files, DatabaseFiles):
        return False
    parts = [files.part(name) for name in files]
    were_kept = [part.let_go() for part in parts if isinstance(part, LargeFiles)]
    return any(were_kept)  # of one part each file has the same


def is_same_file(name: str, files: Mapping[str, bytes], others: Mapping[str, bytes]) -> bool:
    """Tell whether the file ``name`` of both, of which ``files`` has one, was made but once.

    Nothing is made for that.
    """
    if name not in others:
        return False
    if isinstance(files, DatabaseFiles) and isinstance(others, DatabaseFiles):
        one, other = files.part(name), others.part(name)
        if isinstance(one, LargeFiles) or isinstance(other, LargeFiles):
            return one is other
    return files[name] is others[name]

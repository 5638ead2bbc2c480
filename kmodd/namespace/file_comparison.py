# SPDX-License-Identifier: Apache-2.0
"""Which loaded modules are not what their files in the tree are now.

A build is told from another by the id that its linker noted, or where one of the two has none by
the hash of its sources (srcversion): the kernel shows both of what is loaded.
"""

import enum
from collections.abc import Iterator

from kmodd.database.walk import full_path
from kmodd.errors import KmoddError, ModuleFileError, Reason, StateError
from kmodd.kernel.base import Kernel, ModuleBuild
from kmodd.modulefile.identity import Identity
from kmodd.namespace.identities import Identities
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.namespace.outdated import OutdatedFileError
from kmodd.records import record as values
from kmodd.trees import Generation, Trees

ATTEMPTS = 3
"""How often the tree is read anew for a file that is not the one that was read."""


class Staleness(enum.Enum):
    """In what a loaded module differs from the tree.

    CHANGED: its file is of another build. GONE: the tree has no file of its name. UNREADABLE: the
    file says nothing. UNKNOWN: the two have nothing in common to be compared by.
    """

    CHANGED = "changed"
    GONE = "gone"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"


@values(kw_only=True)
class OutdatedModule:
    """A loaded module that its file in the tree is not known to be.

    ``name`` is what plans call it. ``path`` is the file's, "" for none; ``loaded`` and ``file`` are
    the two builds, None of a file that tells of none. ``why`` says why a file cannot be read.
    """

    name: str
    staleness: Staleness
    path: str = ""
    loaded: ModuleBuild
    file: ModuleBuild | None = None
    why: str = ""


class FileComparison:
    """Compares what a kernel has with a tree; has no state of its own."""

    def __init__(
        self, kernel: Kernel, names: LoadedNames, trees: Trees, identities: Identities
    ) -> None:
        self._kernel = kernel
        self._names = names
        self._trees = trees
        self._identities = identities

    def outdated(self) -> tuple[OutdatedModule, ...]:
        """Return the loaded modules whose file is not known to be the same, by name.

        Raises TreeError where the kernel's release has no tree, StateError (MODULE_CHANGED) where
        its files keep changing.
        """
        generation = self._trees.confirm(self._trees.current())
        for _ in range(ATTEMPTS):
            try:
                return tuple(self._look(generation))
            except OutdatedFileError:
                generation = self._trees.rebuild()
        raise StateError(Reason.MODULE_CHANGED, "the files of loaded modules keep changing")

    def of(self, name: str, generation: Generation) -> OutdatedModule | None:
        """Return how the loaded module ``name`` differs, None where its file is the same.

        Raises OutdatedFileError where the file is another than the generation has read.
        """
        database = generation.database
        loaded = self._kernel.build(self._names.own(name))
        record = database.module(name)
        if record is None and name not in database.left_out:
            return OutdatedModule(name=name, staleness=Staleness.GONE, loaded=loaded)
        if record is None:
            why = database.left_out[name]
            return OutdatedModule(name=name, staleness=Staleness.UNREADABLE, loaded=loaded, why=why)
        path = full_path(database.directory, record.path)
        try:
            identity = self._identities.of(record, database.directory)
        except ModuleFileError as error:
            return OutdatedModule(
                name=name,
                staleness=Staleness.UNREADABLE,
                path=path,
                loaded=loaded,
                why=_why(error),
            )
        is_same = is_of_build(identity, loaded)
        if is_same:
            return None
        file = ModuleBuild(*(each[0] if each else "" for each in _marks(identity)))
        staleness = Staleness.UNKNOWN if is_same is None else Staleness.CHANGED
        return OutdatedModule(name=name, staleness=staleness, path=path, loaded=loaded, file=file)

    def _look(self, generation: Generation) -> Iterator[OutdatedModule]:
        for name in sorted(self._names.by_name(self._kernel.modules())):
            found = self.of(name, generation)
            if found is not None:
                yield found


def is_of_build(identity: Identity, build: ModuleBuild) -> bool | None:
    """Tell whether a file holds the ``build``; None where nothing tells.

    A file whose linker noted no id is another than the one of a build that has one.
    """
    if build.build_id and identity.builds:
        return build.build_id in identity.builds
    if build.source_version and identity.source_versions:
        return build.source_version in identity.source_versions
    return False if build.build_id else None


def _marks(identity: Identity) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return identity.builds, identity.source_versions


def _why(error: KmoddError) -> str:
    return error.why if isinstance(error, ModuleFileError) else error.message

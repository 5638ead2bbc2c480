# SPDX-License-Identifier: Apache-2.0
"""The one way from a tree on disk to its Database."""

from collections.abc import Iterable
from contextlib import nullcontext

from kmodd.config.depmod import DepmodConfig
from kmodd.database.assistant import Assistant
from kmodd.database.build import build
from kmodd.database.collector import collector_paused
from kmodd.database.database import Database
from kmodd.database.inventory import Inventory
from kmodd.database.reading import CORES, Progress
from kmodd.database.scan import scan
from kmodd.freed_memory import keep_freed_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodd.config.files import Objection


def rebuild(
    directory: str,
    release: str,
    *,
    config: DepmodConfig,
    previous: Database | None = None,
    remembered: Inventory | None = None,
    only: Iterable[str] | None = None,
    symbol_prefix: str = "",
    progress: Progress | None = None,
    leave_out: bool = False,
    lasting: bool = True,
    forks: bool = False,
    objection: "Objection | None" = None,
) -> Database:
    """Return the database of the module tree at ``directory`` (``.../lib/modules/<release>``).

    ``previous``, of the same tree, saves reading and making again what has not changed; where
    nothing has, it is given back itself. Without it, ``remembered`` records of an earlier life
    (see ``kmodd.database.cache``) save the reading. ``only`` (absolute paths) stands in for all
    that is in the tree; ``symbol_prefix`` is a character that the symbols of some architectures
    begin with (``depmod -P``). With ``leave_out`` a dependency cycle is no error, and costs the
    modules that cannot be loaded for it, nor is a modules.dep that would be too large, which costs
    that file and its index; without ``lasting`` it is no previous one for the next. ``forks`` says
    that this process is there for that alone: it has but one thread, and may be forked to have two
    read.
    A file of the kernel's build that there is an ``objection`` to is not read. Nothing is written.

    Raises TreeError: TREE_NOT_FOUND, TREE_UNREADABLE, LIMIT_REACHED, CycleError (see ``scan`` and
    ``build``).
    """
    known = previous.inventory if previous else remembered
    if forks:
        keep_freed_memory()
    with collector_paused(), Assistant(forks=forks) if CORES > 1 else nullcontext() as assistant:
        inventory = scan(
            directory,
            release,
            config,
            known,
            only=only,
            progress=progress,
            assistant=assistant,
            objection=objection,
        )
        if previous and inventory == previous.inventory and symbol_prefix == previous.symbol_prefix:
            previous.inventory.memory.renew(inventory.memory)
            return previous
        return build(
            inventory,
            previous,
            symbol_prefix=symbol_prefix,
            assistant=assistant,
            leave_out=leave_out,
            lasting=lasting,
        )

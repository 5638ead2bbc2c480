# SPDX-License-Identifier: Apache-2.0
"""What a request says beside what it is for."""

import threading
from typing import Protocol

from kmodd.access.caller import DAEMON, Caller
from kmodd.kernel.base import LoadedModule
from kmodd.records import field, record


class Gone(Protocol):
    """What is set once nobody waits for an answer any more, such as a threading.Event."""

    def is_set(self) -> bool:
        """Tell whether that is so."""


NEVER: Gone = threading.Event()
"""The same for a caller that stays; nobody sets it."""


@record(kw_only=True)
class RequestContext:
    """Who asks, in which tree, and how it is to be carried out.

    ``release`` names the tree, "" for the kernel's own. ``dry_run`` plans and does nothing, as if
    ``assumed`` were loaded where that is not None. ``token`` is that of the operation whose command
    makes the request, and counts for more than the ``caller``. ``gone`` is set once nobody waits
    for the answer any more: that ends a wait, and what has not begun is not begun, but what the
    kernel was asked for goes on. ``origin`` says of what the daemon does of its own accord what it
    does that for ("hotplug", "state" for a wish), and ``device`` for which device, by its path
    below /sys. The rest is as in Manner.
    """

    release: str = ""
    dry_run: bool = False
    assumed: tuple[LoadedModule, ...] | None = None
    token: str = ""
    caller: Caller = DAEMON
    wait: float = 0.0
    nested_options: str = ""
    gone: Gone = field(default=NEVER, compare=False)
    origin: str = ""
    device: str = ""


WISH = "state"
"""The origin of what is done for a wish."""

USUAL = RequestContext()
"""A request that says nothing special."""

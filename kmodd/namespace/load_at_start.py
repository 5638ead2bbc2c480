# SPDX-License-Identifier: Apache-2.0
"""What is loaded when the daemon starts, since modules-load.d says so."""

import logging
from collections.abc import Iterable

from kmodd.config.modules_load import MODULES_LOAD, ModuleToLoad
from kmodd.namespace.context import RequestContext
from kmodd.namespace.namespace import Namespace
from kmodd.plan import LoadRequest

log = logging.getLogger(__name__)


def load_at_start(
    namespace: Namespace, wanted: Iterable[ModuleToLoad], problems: Iterable[str]
) -> None:
    """Load each, mind the blacklist, and go on after a failure.

    The namespace keeps the failures, and ``problems``, which are those of the configuration.
    """
    for problem in problems:
        _note(namespace, problem)
    for each in wanted:
        call = RequestContext(origin=MODULES_LOAD)
        outcome = namespace.load(LoadRequest(name=each.name, use_blacklist=True), call)
        if outcome.error is not None:
            _note(namespace, f"{each.source}: {each.name}: {outcome.error.message}")


def _note(namespace: Namespace, failure: str) -> None:
    log.warning("%s", failure)
    namespace.start_failures += (failure,)

# SPDX-License-Identifier: Apache-2.0
"""Tells a person at a terminal that the kernel does not run the code of what was just loaded."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodctl.output import Output


def tell_unrun(api: "Api", output: "Output", count: int) -> None:
    """Say why init is not run, if the ``count`` modules just loaded are the kernel's first.

    Scripts, which read what a tool says, have kmod's words alone.
    """
    if not count or output.json or not sys.stderr.isatty():
        return
    from kmodd.messages.daemon_service import GetStatusRequest

    status = api.daemon.get_status(GetStatusRequest())  # after the load
    if not status.runs_init and status.loaded_count == count:
        output.warning(f"modules are loaded, but their init is not run: {status.why_not_run}")

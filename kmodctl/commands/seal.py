# SPDX-License-Identifier: Apache-2.0
"""seal: have the machine's kernel load and unload no module any more until the next boot

It is done once no operation is under way (kernel.modules_disabled), and nobody takes it back. With
--check nothing is done, but what would be missing is told: devices without their drivers, and what
modules-load.d names and is not loaded; the exit status is 1 where there is any.
"""

from kmodctl.output import Output, shown_moment
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.daemon_service import Seal


def configure(parser: Parser) -> None:
    """Add the options of seal."""
    parser.add_argument(
        "--check", action="store_true", help="only tell what would be missing afterwards"
    )


def run(options: CommandOptions, api: "Api", output: Output) -> int:
    """Seal the kernel, or print what would be missing."""
    from kmodd.messages.daemon_service import SealRequest

    answer = api.daemon.seal(SealRequest(check=options.check))
    if output.json:
        output.message(answer)
    else:
        for each in answer.missing:
            output.data(f"not loaded: {each.name}, which {each.wanted_by} wants")
        if answer.seal is not None:
            output.data(seal_words(answer.seal))
        elif not answer.missing:
            output.data("nothing is missing")
    return 1 if options.check and answer.missing else 0


def seal_words(seal: "Seal") -> str:
    """Return when the kernel was sealed and, where that is told, by whom."""
    from kmodd.messages.well_known import Timestamp

    by = f" by {seal.by}" if seal.by else ""
    return f"sealed at {shown_moment(seal.time or Timestamp(), 'seconds')}{by}"

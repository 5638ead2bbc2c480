# SPDX-License-Identifier: Apache-2.0
"""What a check has found."""

from kmodd.kernel.trials import CodePlace, FailableCall
from kmodd.modulefile.source_lines import SourceLine
from kmodd.records import record

KINDS = ("oops", "stuck", "leak", "unowned", "in use", "ignored", "undone", "bad result")
"""Those of kernel.trials.MISSTEPS, and what is wrong with a result: the failure was ignored, all
was undone and yet there is said to be no failure, or it is neither 0 nor an errno below zero."""


@record
class FailedCall:
    """A call that failed, and the line of the source that it is in where that is known."""

    call: FailableCall
    line: SourceLine | None = None


@record
class Flaw:
    """Something that is wrong with a module.

    ``kind`` is one of KINDS. ``failed`` are the calls that failed in the first run that shows it,
    none where it is so without a failure; ``device`` is the modalias of what was plugged in.
    ``runs`` is how many runs show it. ``result`` is what the init returned.
    """

    kind: str
    what: str
    place: CodePlace
    phase: str
    rule: str
    failed: tuple[FailedCall, ...] = ()
    device: str = ""
    result: int | None = None
    runs: int = 1
    line: SourceLine | None = None
    log: tuple[str, ...] = ()


@record
class Report:
    """What became of a check: its flaws, how many runs there were and how many were left out,
    how many different calls failed in them.

    ``devices`` are those that its
    drivers took, by their modaliases. ``not_modelled`` are functions that the module has called and
    that did nothing here. ``untold`` counts the runs that nothing is to be concluded from, and
    ``why_untold`` says why of the first.
    """

    module: str
    flaws: tuple[Flaw, ...] = ()
    runs: int = 0
    left_out: int = 0
    calls: int = 0
    devices: tuple[str, ...] = ()
    not_modelled: tuple[str, ...] = ()
    untold: int = 0
    why_untold: str = ""

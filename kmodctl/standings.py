# SPDX-License-Identifier: Apache-2.0
"""How wishes fare, as it is shown to people."""

from kmodctl.output import shown_moment, shown_name
from kmodctl.styles import BAD, ODD, PLAIN, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kmodctl.output import Output
    from kmodd.messages import state_service as pb

HEAD = ("Module", "Wished", "Is", "Fares", "Since", "From")
WIDTHS = (24, 8, 8, 10, 20, 0)
"""The columns of a table of wishes, and how wide they are at least."""


def row(cells: "Iterable[str]") -> str:
    """Return a line of the table."""
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def standing_row(standing: "pb.ModuleStanding") -> Styled:
    """Return the line for one module, in the colour of how its wish fares."""
    from kmodd.messages import state_service as pb
    from kmodd.messages.well_known import Timestamp

    wish = standing.wish
    place = f"{wish.source}:{wish.line}" if wish is not None else ""
    styles = {
        pb.STANDING_WAITING: ODD,
        pb.STANDING_DRIFTED: ODD,
        pb.STANDING_IMPOSSIBLE: BAD,
    }
    line = row(
        (
            standing.module,
            shown_name(pb.WISHED_STATE, wish.state) if wish is not None else "-",
            shown_name(pb.PRESENCE, standing.presence),
            shown_name(pb.STANDING, standing.standing),
            shown_moment(standing.since_time or Timestamp(), "seconds").removesuffix("Z"),
            f"{place}: {standing.why}" if standing.why and place else place or standing.why,
        )
    )
    return Styled(line, styles.get(standing.standing, PLAIN))


def differences(standings: "Iterable[pb.ModuleStanding]") -> "Iterator[str]":
    """Yield a line for each thing that is to be done, and why what is not as wished stays so."""
    from kmodd.messages import state_service as pb

    for standing in standings:
        for move in standing.moves:
            yield _move(standing, move)
        if standing.why or not (standing.moves or standing.standing == pb.STANDING_DONE):
            yield f"! {standing.module} is {shown_name(pb.STANDING, standing.standing)}: " + (
                standing.why or "nothing is to be done"
            )


def _move(standing: "pb.ModuleStanding", move: "pb.Move") -> str:
    """Return a line for what is to be done."""
    from kmodd.messages import state_service as pb

    kind, name = move.kind, standing.module
    wished = standing.wish.parameters if standing.wish is not None else []
    given = "".join(f" {_setting(each)}" for each in wished)
    if kind == pb.MOVE_KIND_SET and move.parameter is not None:
        shown = [
            each.value or "" for each in standing.parameters if each.name == move.parameter.name
        ]
        before = f" (it is {shown[0]})" if shown else ""
        return f"~ set {name} {_setting(move.parameter)}{before}"
    signs = {
        pb.MOVE_KIND_LOAD: "+",
        pb.MOVE_KIND_HOLD: "+",
        pb.MOVE_KIND_UNLOAD: "-",
        pb.MOVE_KIND_RELEASE: "-",
    }
    with_parameters = kind in (pb.MOVE_KIND_LOAD, pb.MOVE_KIND_HOLD, pb.MOVE_KIND_RELOAD)
    word = shown_name(pb.MOVE_KIND, kind)
    return f"{signs.get(kind, '~')} {word} {name}{given if with_parameters else ''}"


def tell_problems(sources: "Iterable[pb.StateSource]", output: "Output") -> bool:
    """Warn of what is wrong with the sources; tell whether anything is."""
    problems = [problem for source in sources for problem in source.problems]
    for problem in problems:
        output.warning(problem)
    return bool(problems)


def _setting(setting: "pb.ParameterSetting") -> str:
    return setting.name if setting.value is None else f"{setting.name}={setting.value}"

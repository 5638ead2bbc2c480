# SPDX-License-Identifier: Apache-2.0
"""The recorded loads of a real kernel, done on the emulated one."""

import errno
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from kmodd.errors import KernelError, Reason
from tests.conformance.realkernel.__main__ import main
from tests.conformance.realkernel.compare import (
    ANOTHER_ERRNO,
    CRASHED,
    HOLDERS,
    LOADED,
    MISSING,
    NOT_RUN,
    REFUSED,
    RUN_TIME,
    SIZE,
    SURPLUS,
    Column,
    compare,
    report,
)
from tests.conformance.realkernel.recordings import (
    OF_6_1,
    RECORDINGS,
    Recording,
    recording,
)
from tests.conformance.realkernel.replay import Outcome, Replay
from tests.conformance.realkernel.table import (
    Row,
    Seen,
    parse_table,
    read_table,
)
from tests.support.debian import tree_of
from tests.support.modules import module_tree
from tests.support.require import require

HEADER = "module\tresult\tmessage\tline\tcame_with\tclean\tremove\tlog\n"
ROW = "b\tOK\t\tb 8 0 - Live\ta:16:1:b;b:8:0:-\tyes\tOK\tb: hello\n"


@pytest.mark.parametrize("recorded", RECORDINGS, ids=lambda each: each.name)
def test_what_a_distribution_loads_is_as_on_the_real_kernel(recorded: Recording) -> None:
    require(find_spec("unicorn") is not None, "running code needs the extra 'emulator'")
    tree = tree_of(recorded.suite)
    replay = Replay(tree.root, tree.release)
    rows = [row for row in recorded.tested() if replay.knows(row.module)]
    columns = compare(replay.run(rows))
    replay.close()
    whose = f"{tree.release}, and the table of {recorded.release}"
    print(whose)
    summary = "\n".join((whose, *report(columns)))
    assert {each.name for each in columns} == recorded.agreed.keys() == recorded.elsewhere.keys()
    assert recorded.shortfalls(columns, tree.root.name) == [], summary
    if recorded is OF_6_1 and recorded.is_of(tree.root.name):
        assert {each.cause for column in columns[:3] for each in column.disagreements} <= {
            RUN_TIME,
            "the same holders in another order",
        }, summary


def test_a_recording_is_tested_with_the_same_rows_each_time() -> None:
    recorded = recording("6.12")
    rows = recorded.tested()
    assert len(rows) == 400
    assert rows == recorded.tested()
    assert {row.module for row in rows} < {row.module for row in read_table(recorded.table)}
    assert len(OF_6_1.tested()) == len(read_table(OF_6_1.table)) > 2000


def test_what_agrees_too_little_is_named() -> None:
    columns = [Column(name, 100) for name in OF_6_1.agreed]
    columns[0].disagreements = compare([outcome({})])[2].disagreements * 21
    few = replace(OF_6_1, agreed=dict.fromkeys(OF_6_1.agreed, 100))
    assert few.shortfalls(columns, "linux-image-6.1.0-57-amd64_6.1.192-3_amd64") == ["came-with"]
    assert OF_6_1.shortfalls(columns, "linux-image-6.1.0-99-amd64_6.1.222-1_amd64") == ["came-with"]
    columns[0].disagreements = columns[0].disagreements[:2]
    assert few.shortfalls(columns, "linux-image-6.1.0-57-amd64_6.1.192-3_amd64") == []


def test_a_table_is_read_by_the_names_of_its_columns() -> None:
    (row,) = parse_table([HEADER, ROW])
    expected = {"a": Seen(16, 1, ("b",)), "b": Seen(8, 0, ())}
    assert row == Row(module="b", result="OK", size=8, family=expected, clean=True)
    (shuffled,) = parse_table(
        ["clean\tcame_with\tnew\tline\tresult\tmodule\n", "no\t-\t?\t\tENODEV\tb\n"]
    )
    assert shuffled == Row(module="b", result="ENODEV", size=None, family={}, clean=False)


@pytest.mark.parametrize(
    "lines",
    [
        ["module\tresult\n"],
        [HEADER, "b\tOK\n"],
        [HEADER, ROW.replace("a:16:1:b", "a:16")],
        [HEADER, ROW.replace("16", "much")],
    ],
)
def test_what_is_no_table_is_refused_with_its_line(lines: Sequence[str]) -> None:
    with pytest.raises(ValueError, match=r"line \d: "):
        parse_table(lines)


def outcome(came: dict[str, Seen], *, clean: bool = True) -> Outcome:
    (row,) = parse_table([HEADER, ROW if clean else ROW.replace("yes", "no")])
    return Outcome(row, came, None, ran=True)


def causes(columns: Sequence[Column]) -> list[list[str]]:
    return [[each.cause for each in column.disagreements] for column in columns]


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ({"a": Seen(16, 1, ("b",)), "b": Seen(8, 0, ())}, [[], [], []]),
        ({"a": Seen(16, 1, ("b",))}, [[MISSING], [MISSING], [MISSING]]),
        (
            {"a": Seen(16, 1, ("b",)), "b": Seen(8, 0, ()), "c": Seen(1, 0, ())},
            [[SURPLUS], [], []],
        ),
        ({"a": Seen(16, 0, ("b",)), "b": Seen(9, 0, ())}, [[], [RUN_TIME], [SIZE]]),
        ({"a": Seen(16, 1, ("c",)), "b": Seen(8, 0, ())}, [[], [HOLDERS], []]),
    ],
)
def test_what_differs_is_counted_by_its_cause(
    came: dict[str, Seen], expected: list[list[str]]
) -> None:
    columns = compare([outcome(came)])
    assert causes(columns) == [*expected, [], []]
    assert [column.compared for column in columns] == [1, 2, 2, 1, 0]


def test_of_a_row_that_is_not_clean_only_the_size_counts() -> None:
    columns = compare([outcome({"b": Seen(8, 3, ("x",))}, clean=False)])
    assert [column.compared for column in columns] == [0, 0, 1, 1, 0]
    assert causes(columns) == [[], [], [], [], []]


def test_a_load_that_is_refused_here_is_a_disagreement(tmp_path: Path) -> None:
    tree = module_tree(tmp_path)
    replay = Replay(tree.root, tree.release)
    table = [HEADER, "nosuch\tOK\t\tnosuch 8 0 - Live\tnosuch:8:0:-\tyes\tOK\t\n"]
    columns = compare(replay.run(parse_table(table)))
    replay.close()
    assert causes(columns) == [[REFUSED], [MISSING], [MISSING], [REFUSED], []]


def test_a_refusal_counts_with_its_errno() -> None:
    table = [HEADER, "b\tENODEV\t\t\t-\tyes\t-\t\n"]
    (row,) = parse_table(table)

    def failed(code: int) -> Outcome:
        return Outcome(row, {}, KernelError(Reason.KERNEL_REFUSED, "no", errno=code))

    columns = compare([failed(errno.ENODEV), failed(errno.EIO), Outcome(row, {}, None, ran=True)])
    assert [column.compared for column in columns] == [0, 0, 0, 0, 3]
    assert causes(columns)[4] == [ANOTHER_ERRNO, LOADED]


def test_code_that_ends_a_load_counts_as_that_alone() -> None:
    loaded = outcome({}).row
    crash = KernelError(Reason.MODULE_CRASHED, "oops")
    columns = compare([Outcome(loaded, {}, crash), Outcome(loaded, {}, None, ran=False)])
    assert causes(columns)[3] == [CRASHED, NOT_RUN]
    assert columns[0].compared == 1


def test_a_share_is_never_rounded_up() -> None:
    column = Column("size", 30_000)
    column.disagreements = compare([outcome({})])[2].disagreements[:1]
    assert column.line() == "size 99.99% (29999/30000)"
    assert Column("size").line() == "size 100.00% (0/0)"


def test_the_command_prints_a_line_for_each_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = module_tree(tmp_path / "root")
    table = tmp_path / "table.tsv"
    table.write_text(
        HEADER
        + "world\tOK\t\tworld 16384 0 - Live\tgreet:16384:1:world;world:16384:0:-\tyes\tOK\t\n"
        + "halfway\tEIO\tmodprobe: ERROR\t\t-\tyes\t-\t\n"
    )
    assert main(["--root", str(tree.root), str(table)]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "came-with 100.00% (1/1)",
        "counts 100.00% (2/2)",
        "size 100.00% (2/2)",
    ]
    assert main(["--root", str(tmp_path), str(table)]) == 1
    assert main(["--root", str(tree.root), str(tmp_path / "nosuch")]) == 1

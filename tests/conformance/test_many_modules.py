# SPDX-License-Identifier: Apache-2.0
"""The emulated kernel with a distribution's worth of modules, and with modules that are broken."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from kmodctl import CallError
from tests.bench.measure import memory
from tests.conformance.all_modules import Rounds
from tests.conformance.mutate import SEEDS_OF_TREE, main, mutants, run, seeds, seeds_of
from tests.support.daemon import running_daemon
from tests.support.debian import DebianTree
from tests.support.require import require
from tests.support.tree import ModuleTree

SAMPLE = int(os.environ.get("KMODD_MUTANTS", "30000"))
"""How many broken modules are tried, half a minute of an idle core; for more:
``python -m tests.conformance.mutate``."""

OF_A_DISTRIBUTION = 10
"""One in so many more are made of a distribution's modules, which take longer to load."""

SHARE = 16
"""One module of so many is loaded alone; for all: ``python -m tests.conformance.all_modules``."""

KEPT_KIB = 16 << 10
"""What the allocator may keep of its own between two rounds; a kernel that kept the images, or
12 KiB of each module, would grow by more."""

MOST_MB = 170
"""What the kernel's process may have come to with every sixteenth module and what it needs, their
code run. It is some 120; it was 200 when each module kept its file, and the emulator all that it
had translated."""

BUSY = (
    "btrfs",
    "hfi1",
    "kafs",
    "mac80211_hwsim",
    "ocfs2_stack_o2cb",
    "raid456",
    "snd_hrtimer",
    "test_static_keys",
)
"""Modules that try the processor's instructions in their init, fill hash tables, make radios, or
see whether the kernel's static branches work."""


def test_a_distributions_modules_come_and_go_and_leave_nothing(debian_tree: DebianTree) -> None:
    # What code is translated to stays until there is enough of it: memory is looked at without.
    rounds = Rounds(debian_tree.root, debian_tree.release, run_code=False)
    names = tuple(rounds.database.modules)
    together = rounds.together(names)
    alone = rounds.one_by_one(names[::SHARE])
    again = rounds.together(names[::SHARE])
    rounds.close()
    for each in (together, alone, again):
        assert (each.refused, each.ended, each.left) == ((), 0, 0), str(each)
    assert together.loads == len(names)
    assert again.memory < together.memory + KEPT_KIB, f"{together}\n{alone}\n{again}"


def test_nearly_all_of_their_code_runs_from_init_to_exit_in_bounded_memory(
    debian_tree: DebianTree,
) -> None:
    rounds = Rounds(debian_tree.root, debian_tree.release)
    require(rounds.kernel.runs_init, "running code needs the extra 'emulator'")
    names = tuple(rounds.database.modules)[::SHARE]
    together, alone = rounds.together(names), rounds.one_by_one(names)
    assert rounds.kernel.pid is not None
    most = memory(rounds.kernel.pid, "VmHWM")
    rounds.close()
    for each in (together, alone):
        assert (each.refused, each.left) == ((), 0), str(each)
        assert each.ended * 10 < each.loads, str(each)
    assert most < MOST_MB, f"{together}\n{alone}"


def test_modules_whose_init_does_much_come_and_go(debian_tree: DebianTree) -> None:
    rounds = Rounds(debian_tree.root, debian_tree.release)
    require(rounds.kernel.runs_init, "running code needs the extra 'emulator'")
    done = rounds.one_by_one(BUSY)
    rounds.close()
    assert (done.refused, done.ended, done.left) == ((), 0, 0), str(done)


def test_broken_modules_never_end_the_kernel() -> None:
    tally = run(SAMPLE, float("inf"), seed=20261123)
    assert tally.faults == []
    assert tally.loads == SAMPLE
    assert {0, 2, 8, 22} <= set(tally.errnos)


def test_a_distributions_modules_with_mistakes_do_not_end_it_either(
    debian_tree: DebianTree,
) -> None:
    images = seeds_of(debian_tree.root)
    assert len(images) >= SEEDS_OF_TREE
    tally = run(SAMPLE // OF_A_DISTRIBUTION, float("inf"), 20261124, images)
    assert tally.faults == []
    assert {0, 2, 8} <= set(tally.errnos)


def test_broken_modules_never_end_the_daemon(modules_root: ModuleTree, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ko"
    with running_daemon(modules_root.root) as daemon, daemon.client() as client:
        before = client.status()
        for image, _ in zip(mutants(seeds(), 7), range(50), strict=False):
            broken.write_bytes(image)
            with suppress(CallError):
                client.remove(client.insert(broken).name, force=True)
        after = client.status()
    assert (after.pid, after.epoch) == (before.pid, before.epoch)


def test_the_command_tells_what_came_of_the_loads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["50", "--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith("50 loads in ")


def test_the_same_seed_makes_the_same_mistakes() -> None:
    one, other = mutants(seeds(), 5), mutants(seeds(), 5)
    assert [next(one) for _ in range(50)] == [next(other) for _ in range(50)]

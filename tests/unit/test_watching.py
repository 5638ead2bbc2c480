# SPDX-License-Identifier: Apache-2.0
"""What a daemon looks at while nothing changes, and what it is told of: counted, not timed."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kmodd.database import publish
from kmodd.settings import Timing
from kmodd.trees import Generation, Trees, observer, watches
from kmodd.trees.inotify import ChangeQueue
from kmodd.trees.observer import DirectoryObserver
from kmodd.trees.tree import Tree
from kmodd.trees.watcher import FILES, RARELY, Watcher, watching
from tests.support.daemon import wait_until
from tests.support.require import require
from tests.support.small_tree import add_module, empty_tree
from tests.support.tree import ModuleTree

AT_ONCE = Timing(debounce=0.0, debounce_removal=0.0, debounce_max=0.0, look=0.0, poll=0.01)
"""For trees that are looked at with each tick."""

SELDOM = Timing(debounce=3600.0, debounce_removal=3600.0, debounce_max=3600.0, look=3600.0)
"""For trees that nobody reads but who asks for what is not there."""


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    """A root with a tree of one module."""
    tree = empty_tree(tmp_path / "root")
    add_module(tree, "kernel/drivers/lower.ko")
    return tree


def at_rest(trees: Trees) -> Generation:
    """Return what is in force once the tree is known to its last directory."""
    while trees.rebuild() and trees.tree().places() is None:
        time.sleep(0.01)
    return trees.current()


@contextmanager
def observed(tree: ModuleTree) -> Iterator[Trees]:
    """Give the trees of a root while they are watched, and all of them are known."""
    trees = Trees(tree.root, tree.release, patience=0.0)
    trees.rebuild()
    with watching(trees, SELDOM):
        wait_until(lambda: trees._options.sight.observer is not None)
        wait_until(lambda: is_told_of_all(trees))
        yield trees


@contextmanager
def unstarted(trees: Trees, timing: Timing) -> Iterator[Watcher]:
    """Give a watcher whose ticks the test makes; the first is made."""
    watcher = Watcher(trees, timing)
    try:
        with trees.observed_by(watcher.observer):
            watcher._tick()
            wait_until(lambda: trees.tree().places() is not None or bool(trees.rebuild()))
            yield watcher
    finally:
        watcher._debouncer.stop()
        watcher.observer.stop()


def is_told_of_all(trees: Trees) -> bool:
    at_rest(trees)
    eyes, places = trees._options.sight.observer, trees.tree().places()
    return eyes is not None and eyes.last_change(trees.release, places)[1]


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Note each call of a method of trees."""
    calls: list[str] = []
    method: Callable[[Tree], object] = getattr(Tree, name)

    def call(tree: Tree) -> object:
        calls.append(name)
        return method(tree)

    monkeypatch.setattr(Tree, name, call)
    return calls


def test_of_a_tree_whose_changes_are_all_told_of_nothing_is_looked_at(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    with observed(tree) as trees:
        generation = at_rest(trees)
        looked: list[object] = []
        stat = os.stat

        def looking(path: "os.PathLike[str] | str", **options: Any) -> os.stat_result:
            if str(path).startswith(str(tree.directory)):
                looked.append(path)
            return stat(path, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", looking)
            assert {trees.confirm(generation).number for _ in range(1000)} == {generation.number}
        assert len(looked) < 10  # the watcher's own thread may come by


def move_in(tree: ModuleTree) -> None:
    add_module(tree, "../aside/deep/newcomer.ko")
    (tree.directory.parent / "aside").rename(tree.directory / "kernel/moved")


def put_into_new_directory(tree: ModuleTree) -> None:
    add_module(tree, "kernel/a/b/c/newcomer.ko")


def rename_over(tree: ModuleTree) -> None:
    module = tree.directory / "kernel/drivers/lower.ko"
    module.rename(module.with_name("newcomer.ko"))


@pytest.mark.parametrize("change", [move_in, put_into_new_directory, rename_over])
def test_what_came_just_now_is_known_to_the_next_question(
    tree: ModuleTree, change: Callable[[ModuleTree], None]
) -> None:
    with observed(tree) as trees:
        before = at_rest(trees)
        assert trees.confirm(before).number == before.number
        change(tree)
        after = trees.confirm(before)
        assert after.number == before.number + 1
        assert "newcomer" in after.database.modules


def test_who_asks_for_what_came_just_now_does_not_wait_for_the_disk(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    with observed(tree) as trees:
        before, path = at_rest(trees), tree.directory / "modules.dep"
        with monkeypatch.context() as patch:
            patch.setattr(Tree, "mend", lambda _: None)
            add_module(tree, "kernel/newcomer.ko")
            found = trees.confirm(before)
            assert "newcomer" in found.database.modules
            assert found.publication is None
            assert "newcomer" not in path.read_text()
        wait_until(lambda: "newcomer" in path.read_text())
        add_module(tree, "kernel/another.ko")
        assert "another" in trees.confirm(trees.current()).database.modules
        assert trees.rebuild().publication is not None
        assert "another" in path.read_text()


def test_what_comes_into_a_directory_that_has_just_come_is_told_of(tree: ModuleTree) -> None:
    with observed(tree) as trees:
        (tree.directory / "updates/dkms").mkdir(parents=True)
        wait_until(lambda: is_told_of_all(trees))
        before = trees.current()
        add_module(tree, "updates/dkms/newcomer.ko")
        assert "newcomer" in trees.confirm(before).database.modules


def test_a_linked_directory_and_what_is_below_it_are_watched(
    tree: ModuleTree, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "dkms"
    (elsewhere / "below").mkdir(parents=True)
    (tree.directory / "updates").symlink_to(elsewhere)
    with observed(tree) as trees:
        before = at_rest(trees)
        (elsewhere / "below/newcomer.ko").write_bytes(
            (tree.directory / "kernel/drivers/lower.ko").read_bytes()
        )
        assert "newcomer" in trees.confirm(before).database.modules


def test_what_was_put_in_force_since_the_question_answers_it(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    with observed(tree) as trees:
        before = at_rest(trees)
        add_module(tree, "kernel/newcomer.ko")
        trees.rebuild()
        wait_until(lambda: is_told_of_all(trees))
        looks = counted(monkeypatch, "is_fresh")
        assert "newcomer" in trees.tree().confirm(before).database.modules
        assert looks == []


def test_where_not_all_is_told_of_two_looks_answer_for_a_second(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "tells_all", lambda _: False)
    trees = Trees(tree.root, tree.release, patience=0.0)
    with watching(trees, SELDOM):
        generation = at_rest(trees)
        time.sleep(1.0)
        looks, began = counted(monkeypatch, "is_fresh"), time.monotonic()
        while not looks or time.monotonic() < began + 0.5:
            assert trees.confirm(generation).number == generation.number
        assert len(looks) <= 1 + 2 * (time.monotonic() - began)


def test_one_look_serves_all_who_wait_for_it(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = Trees(tree.root, tree.release, patience=0.0)
    generation = at_rest(trees)
    looks = counted(monkeypatch, "is_fresh")
    look, asked = trees.tree()._look, threading.Barrier(9)

    def ask() -> int:
        asked.wait()
        return trees.confirm(generation).number

    with ThreadPoolExecutor(8) as pool:
        with look.lock:
            answers = [pool.submit(ask) for _ in range(8)]
            asked.wait()
            time.sleep(0.2)  # all of them wait for the lock by then
        assert {each.result() for each in answers} == {generation.number}
    assert len(looks) == 1


def test_a_tree_that_is_not_watched_is_looked_at_for_each_question(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = Trees(tree.root, tree.release, patience=0.0)
    generation = at_rest(trees)
    looks = counted(monkeypatch, "is_fresh")
    for _ in range(5):
        trees.confirm(generation)
    assert len(looks) == 5
    add_module(tree, "kernel/newcomer.ko")
    assert "newcomer" in trees.confirm(generation).database.modules


def test_past_the_limit_of_watches_the_tree_is_looked_at(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_queue: ChangeQueue, _directory: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ChangeQueue, "add", refuse)
    trees = Trees(tree.root, tree.release, patience=0.0)
    with watching(trees, SELDOM):
        wait_until(lambda: "cannot be watched" in caplog.text)
        before = at_rest(trees)
        add_module(tree, "kernel/newcomer.ko")
        wait_until(lambda: "newcomer" in trees.confirm(before).database.modules)
    assert caplog.text.count("cannot be watched") == 1


def test_events_that_were_lost_have_all_watched_anew(tree: ModuleTree) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    trees = Trees(tree.root, tree.release, patience=0.0)
    with unstarted(trees, SELDOM) as watcher:
        wait_until(lambda: is_told_of_all(trees))
        before, noise = trees.current(), tree.directory / "kernel/noise"
        with watcher.observer._lock:
            for _ in range(limit // 2 + 1):
                noise.touch()
                noise.unlink()
            add_module(tree, "kernel/unheard/newcomer.ko")
        assert not is_told_of_all(trees)
        assert "newcomer" in trees.confirm(before).database.modules
        watcher._tick()
        assert is_told_of_all(trees)


def test_one_look_of_many_at_a_quiet_tree_is_at_its_files(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = Trees(tree.root, tree.release, patience=0.0)
    with unstarted(trees, AT_ONCE) as watcher:
        wait_until(lambda: is_told_of_all(trees))
        wait_until(lambda: not watcher._debouncer._due)
        watcher._rare.clear()
        by_directory = counted(monkeypatch, "is_fresh")
        at_files = counted(monkeypatch, "is_untouched")
        for _ in range(3 * FILES):
            watcher._next_look.clear()
            watcher._tick()
        assert (len(at_files), len(by_directory)) == (3, 3 * (FILES - 1))


@pytest.mark.parametrize(("is_local", "times"), [(True, RARELY), (False, 1)])
def test_a_tree_whose_changes_are_all_told_of_is_looked_at_rarely(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch, is_local: bool, times: int
) -> None:
    monkeypatch.setattr(watches, "tells_all", lambda _: is_local)
    trees = Trees(tree.root, tree.release, patience=0.0)
    with unstarted(trees, Timing(debounce=0.0, debounce_max=0.0, look=7.0)) as watcher:
        at_rest(trees)
        assert watcher._pause(trees.tree()) == 7.0 * times


def wakes() -> int:
    """Return how often the threads that follow the trees have slept so far (proc(5))."""
    names = ("kmodd-watcher", "kmodd-rebuild", "kmodd-inotify")
    numbers = [each.native_id for each in threading.enumerate() if each.name in names]
    assert len(numbers) == len(names)
    lines = [Path(f"/proc/self/task/{number}/status").read_text() for number in numbers]
    return sum(int(each.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for each in lines)


def test_who_follows_quiet_trees_wakes_once_in_two_seconds(tree: ModuleTree) -> None:
    quiet = Timing(debounce=0.0, debounce_max=0.0)
    with watching(Trees(tree.root, tree.release, patience=0.0), quiet):
        time.sleep(3.0)  # what begins has begun
        before, began = wakes(), time.monotonic()
        time.sleep(4.0)
        # A wake may find the interpreter taken by this test's own thread, and sleep twice.
        assert wakes() - before <= 2 * ((time.monotonic() - began) / quiet.poll + 1)


MOUNTING = """
import subprocess, sys
from pathlib import Path
from tests.support.tree import ModuleTree
from tests.unit.test_watching import at_rest, observed
tree = ModuleTree(root=Path(sys.argv[1]), release=sys.argv[2])
with observed(tree) as trees:
    before = at_rest(trees)
    assert trees.confirm(before).number == before.number
    mount = ["mount", "--bind", sys.argv[3], tree.directory / "kernel"]
    subprocess.run(mount, check=True)
    assert "mounted" in trees.confirm(before).database.modules
"""


def test_a_mount_over_a_directory_of_the_tree_is_told_of(tree: ModuleTree, tmp_path: Path) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    require(probe.returncode == 0, f"no user namespaces here: {probe.stderr.decode().strip()}")
    other = empty_tree(tmp_path / "other")
    add_module(other, "mounted.ko")
    words = (str(tree.root), tree.release, str(other.directory))
    ran = subprocess.run(
        [*unshare, sys.executable, "-c", MOUNTING, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


def test_what_an_earlier_life_left_on_disk_is_served_and_then_verified(tree: ModuleTree) -> None:
    earlier = Trees(tree.root, tree.release, patience=0.0).rebuild()
    trees = Trees(tree.root, tree.release, patience=0.0)
    assert trees.serve_published()
    served = trees.current(at_once=True)
    assert served.is_provisional
    assert served.is_published
    assert dict(served.database.files) == dict(earlier.database.files)
    assert not trees.current().is_provisional
    assert not trees.serve_published()
    served = trees.current(at_once=True)
    assert served.publication is not None
    assert served.publication.written == ()


def test_a_name_that_what_is_provisional_lacks_is_looked_for_in_the_tree(tree: ModuleTree) -> None:
    Trees(tree.root, tree.release, patience=0.0).rebuild()
    trees = Trees(tree.root, tree.release, patience=0.0)
    assert trees.serve_published()
    served = trees.current(at_once=True)
    add_module(tree, "kernel/newcomer.ko")
    assert "newcomer" in trees.confirm(served).database.modules


def test_who_watches_a_tree_verifies_what_is_provisional(tree: ModuleTree) -> None:
    Trees(tree.root, tree.release, patience=0.0).rebuild()
    trees = Trees(tree.root, tree.release, patience=0.0)
    assert trees.serve_published()
    with watching(trees, AT_ONCE):
        wait_until(lambda: not trees.current(at_once=True).is_provisional)


def test_a_start_leaves_what_is_provisional_to_the_next_look(tree: ModuleTree) -> None:
    Trees(tree.root, tree.release, patience=0.0).rebuild()
    trees = Trees(tree.root, tree.release, patience=0.0)
    assert trees.serve_published()
    verified: list[bool] = []
    looked = threading.Semaphore(0)

    def also() -> None:
        verified.append(not trees.current(at_once=True).is_provisional)
        looked.release()

    with watching(trees, AT_ONCE, also):
        assert looked.acquire(timeout=60)
        assert looked.acquire(timeout=60)
    assert verified[:2] == [False, True]


def remove_module(tree: ModuleTree) -> None:
    (tree.directory / "kernel/drivers/lower.ko").unlink()


def change_module(tree: ModuleTree) -> None:
    path = tree.directory / "kernel/drivers/lower.ko"
    path.write_bytes(path.read_bytes())


def remove_database(tree: ModuleTree) -> None:
    (tree.directory / "modules.dep.bin").unlink()


def damage_database(tree: ModuleTree) -> None:
    (tree.directory / "modules.dep.bin").write_bytes(b"no index")


@pytest.mark.parametrize("change", [remove_module, change_module, remove_database, damage_database])
def test_databases_that_are_not_those_of_their_tree_are_not_served(
    tree: ModuleTree, change: Callable[[ModuleTree], None]
) -> None:
    Trees(tree.root, tree.release, patience=0.0).rebuild()
    time.sleep(0.02)  # the clock of the file system goes on
    change(tree)
    trees = Trees(tree.root, tree.release, patience=0.0)
    assert not trees.serve_published()
    assert trees.in_force() is None


def test_what_depmod_writes_is_no_change() -> None:
    assert observer.is_output("modules.dep")
    assert not observer.is_output("modules.order")
    assert not observer.is_output("kernel/modules.dep")


def test_a_removal_that_has_just_begun_keeps_files_from_being_written(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody reads the events but who asks.
    monkeypatch.setattr(DirectoryObserver, "_run", lambda _observer, _events: None)
    notes = tree.directory / "kernel/drivers/notes"
    notes.touch()
    trees = Trees(tree.root, tree.release, patience=3600.0)
    with unstarted(trees, SELDOM):
        wait_until(lambda: is_told_of_all(trees))
        before = (tree.directory / "modules.dep").read_bytes()
        add_module(tree, "kernel/drivers/more.ko")
        give_up = publish._give_up_if_leaving

        def remove_first(*words: Any) -> None:
            notes.unlink(missing_ok=True)
            give_up(*words)

        monkeypatch.setattr(publish, "_give_up_if_leaving", remove_first)
        assert trees.rebuild().publication is None
        assert (tree.directory / "modules.dep").read_bytes() == before

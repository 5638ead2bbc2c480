# SPDX-License-Identifier: Apache-2.0
"""Many threads do whatever they like to one namespace, and nothing is ever lost or left over."""

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kmodd.access.caller import Caller
from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import EmulatedKernel
from kmodd.kernel.emulated.execution.cpu import IdleCpu
from kmodd.kernel.emulated.modules.struct_module import StructModule
from kmodd.namespace import Hold, Namespace, RequestContext
from kmodd.plan import LoadRequest, UnloadRequest
from kmodd.settings import Limits
from tests.support.namespaces import namespace_on
from tests.support.replay import replay
from tests.support.small_tree import add_graph, empty_tree

THREADS = 8
ROUNDS = 10
ACTS = 25
PATIENCE = 60.0

EDGES = [
    *(("a1", "a0"), ("a2", "a1"), ("a3", "a2"), ("a4", "a1"), ("b1", "b0"), ("b2", "b1")),
    *(("ab", "a2"), ("ab", "b1"), ("top", "ab"), ("top", "b2"), ("c1", "a0"), ("c2", "c1")),
    *(("f1", "f0"), ("f2", "f0")),
]
"""Of each pair the first module needs the second. Others play with those that begin with f."""

NAMES = sorted({name for edge in EDGES for name in edge})

EXPECTED = {
    Reason.LIMIT_REACHED,
    Reason.MODULE_ALREADY_LOADED,
    Reason.MODULE_BUSY,
    Reason.MODULE_HELD,
    Reason.MODULE_IN_USE,
    Reason.MODULE_NOT_LOADED,
}
"""What may come of it."""


LOST_TO_OTHERS = {Reason.UNKNOWN_SYMBOL, Reason.MODULE_CHANGED}
"""What may come of it where others unload what a module needs just before it is loaded."""


class SlowCpu(IdleCpu):
    """Module code that takes a moment, so that others come in between."""

    def init(self, mod: StructModule) -> int:
        time.sleep(0.0005)
        return super().init(mod)

    def exit(self, mod: StructModule) -> None:
        time.sleep(0.0005)
        super().exit(mod)


class SlowKernel(EmulatedKernel):
    """A kernel whose modules take a moment to come and to go."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments, cpu=SlowCpu())  # type: ignore[arg-type]


class KilledError(Exception):
    """The end of a client in the midst of what it does."""


@dataclass
class World:
    """A namespace, its kernel, and what the threads have open; ``lock`` guards the last two."""

    namespace: Namespace
    kernel: EmulatedKernel
    images: Mapping[str, bytes]
    lock: threading.Lock = field(default_factory=threading.Lock)
    holds: list[tuple[ExitStack, Hold]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    surprises: list[BaseException] = field(default_factory=list)


def load(world: World, chance: random.Random, call: RequestContext) -> None:
    names = chance.sample(NAMES, chance.choice((1, 1, 1, 2)))
    requests = [LoadRequest(name=name) for name in names]
    for outcome in world.namespace.load_together(requests, call):
        expect(outcome.error)


def unload(world: World, chance: random.Random, call: RequestContext) -> None:
    request = UnloadRequest(name=chance.choice(NAMES), remove_holders=chance.random() < 0.2)
    expect(world.namespace.unload(request, call).error)


def insert(world: World, chance: random.Random, call: RequestContext) -> None:
    name = chance.choice(NAMES)
    try:
        world.namespace.insert(world.images[name], f"{name}.ko", "", InsertFlags.NONE, call)
    except KmoddError as error:
        if error.reason is not Reason.UNKNOWN_SYMBOL:  # what it needs is not loaded for it
            raise


def remove(world: World, chance: random.Random, call: RequestContext) -> None:
    world.namespace.remove(chance.choice(NAMES), call)


def begin_hold(world: World, chance: random.Random, call: RequestContext) -> None:
    requests = [LoadRequest(name=chance.choice(NAMES)) for _ in range(chance.choice((1, 2)))]
    stack = ExitStack()
    held = world.namespace.hold(requests, call, unload=chance.random() < 0.5)
    hold, _ = stack.enter_context(held)
    with world.lock:
        world.holds.append((stack, hold))


def end_hold(world: World, chance: random.Random, _call: RequestContext) -> None:
    with world.lock:
        if not world.holds:
            return
        stack, _ = world.holds.pop(chance.randrange(len(world.holds)))
    stack.close()


def die_holding(world: World, chance: random.Random, call: RequestContext) -> None:
    request = LoadRequest(name=chance.choice(NAMES))
    with world.namespace.hold([request], call, unload=chance.random() < 0.5):
        raise KilledError


def open_or_close(world: World, chance: random.Random, _call: RequestContext) -> None:
    """Take a reference as an open file does, or give one back."""
    with world.lock:
        if world.files and chance.random() < 0.6:
            world.kernel.release_hold(world.files.pop(chance.randrange(len(world.files))))
            return
        name = chance.choice(NAMES)
        if world.kernel.hold(name):
            world.files.append(name)


def meddle(world: World, chance: random.Random, _call: RequestContext) -> None:
    """Load or unload behind the namespace's back."""
    name = chance.choice([name for name in NAMES if name.startswith("f")])
    if chance.random() < 0.5:
        with suppress(KernelError):
            world.kernel.init_module(world.images[name], "", InsertFlags.NONE)
    elif name not in world.namespace.hold_counts():
        world.kernel.delete_module(name)


ACTIONS: list[Callable[[World, random.Random, RequestContext], None]] = [
    *(load, load, load, unload, unload, insert, remove, remove, begin_hold, end_hold, end_hold),
    *(die_holding, open_or_close, meddle),
]


def expect(error: KmoddError | None) -> None:
    """Raise a failure that is none of those that may come of it."""
    if error is None or error.reason in EXPECTED:
        return
    others = error.module.startswith("f") and error.reason in LOST_TO_OTHERS
    if not others:
        raise error


def act(world: World, seed: int) -> None:
    """Do one thread's part of a round."""
    chance = random.Random(seed)
    call = RequestContext(caller=Caller(f"/run/{seed % 3}"))
    try:
        for _ in range(ACTS):
            try:
                chance.choice(ACTIONS)(world, chance, call)
            except KilledError:
                pass
            except KmoddError as error:
                expect(error)
    except BaseException as surprise:
        world.surprises.append(surprise)


def check(world: World, seen: int) -> int:
    """Look at what a round has left; ``seen`` is the revision before it. Returns the new one."""
    if world.surprises:
        raise world.surprises[0]
    namespace = world.namespace
    assert namespace.idle()
    assert namespace.activity().operations == ()
    listing = namespace.listing()
    loaded = {module.name: module for module in listing.modules}
    files = Counter(world.files)
    for name, module in loaded.items():
        assert module.refcount == len(module.holders) + files[name], name
    for user, needed in EDGES:
        if user in loaded:
            assert needed in loaded, (user, needed)
            assert user in loaded[needed].holders
    holds = [hold for _, hold in world.holds]
    assert set(namespace.activity().holds) == set(holds)
    assert namespace.hold_counts() == Counter(name for hold in holds for name in hold.pins)
    for hold in holds:
        wanted = hold.pins.union(hold.names)
        assert {name for name in wanted if not name.startswith("f")} <= loaded.keys()
    with namespace.watch(listing.epoch) as watch:
        events = watch.take(0)
    assert replay((), (event.changes for event in events)) == listing.modules
    assert [event.revision for event in events] == list(range(2, 2 + len(events)))
    revision = namespace.activity().revisions[1]
    assert revision > seen
    return revision


@pytest.fixture(autouse=True)
def hasty_threads() -> Iterator[None]:
    """Let threads take turns much more often than they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("seed", range(int(os.environ.get("KMODD_SEEDS", "4"))))
def test_whatever_threads_do_nothing_is_lost_and_nothing_left_over(
    tmp_path: Path, seed: int
) -> None:
    tree = empty_tree(tmp_path / "root")
    add_graph(tree, EDGES)
    images = {name: (tree.directory / f"kernel/{name}.ko").read_bytes() for name in NAMES}
    limits = Limits(holds=6, events=1 << 20)
    namespace, kernel = namespace_on(tree, SlowKernel, limits=limits)
    assert isinstance(kernel, EmulatedKernel)
    world = World(namespace, kernel, images)
    revision = check(world, 0)
    for number in range(ROUNDS):
        threads = [
            threading.Thread(target=act, args=(world, seed * 1000 + number * 100 + each))
            for each in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        revision = check(world, revision)
    for stack, _ in world.holds:
        stack.close()
    world.holds.clear()
    check(world, revision - 1)
    for name in NAMES:
        while kernel.module(name) and world.files.count(name):
            world.files.remove(name)
            kernel.release_hold(name)
    for name in NAMES:
        namespace.unload(UnloadRequest(name=name, remove_holders=True))
    assert namespace.listing().modules == ()
    assert namespace.idle()

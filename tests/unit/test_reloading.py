# SPDX-License-Identifier: Apache-2.0
"""Reloads: in which order modules go and come, with what, and what is left where that fails."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.errors import KmoddError, Reason, StateError
from kmodd.kernel.base import EmulationReport, InsertFlags
from kmodd.kernel.emulated import EmulatedKernel, IsolatedKernel
from kmodd.namespace import (
    Fate,
    Namespace,
    Origin,
    ReloadedModule,
    ReloadReport,
    ReloadRequest,
    RequestContext,
)
from kmodd.plan import DenyList, InsertStep, LoadRequest, RemoveStep, UnloadRequest, module_of
from kmodd.state import AskedStore
from tests.support.daemon import wait_until
from tests.support.elf_writer import Export, Import, ModuleSpec, build_note, write_module
from tests.support.namespaces import AnyKernel, namespace_on
from tests.support.param_writer import Param
from tests.support.small_tree import empty_tree
from tests.support.tree import ModuleTree
from tests.support.wishes import kept_machine, wishes

CHAIN = ("m1", "m2", "m3", "m4", "m5")
"""Each needs the one before it."""

TIMES = Param("times", "int", 0o644)


OTHER_CRC = 0x999


def image(name: str, build: str = "01", crc: int | None = None, **changes: Any) -> bytes:
    """Return a build of a module of the chain; with OTHER_CRC the kernel refuses it."""
    at = CHAIN.index(name)
    needs = (Import(f"{CHAIN[at - 1]}_do", crc=crc),) if at else ()
    spec = ModuleSpec(
        name=name,
        versions=(),
        exports=(Export(f"{name}_do"),),
        imports=needs,
        parameters=(TIMES,),
        modinfo=(("parmtype", "times:int"),),
        sections=(build_note(build),),
    )
    return write_module(replace(spec, **changes))


def put(tree: ModuleTree, path: str, content: bytes) -> None:
    """Put a file in the place of another, as dpkg does."""
    file = tree.directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".dpkg-new").write_bytes(content)
    file.with_suffix(".dpkg-new").rename(file)


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = empty_tree(tmp_path)
    for name in CHAIN:
        put(tree, f"kernel/{name}.ko", image(name))
    return tree


def upgrade(tree: ModuleTree, *names: str) -> None:
    for name in names or CHAIN:
        put(tree, f"kernel/{name}.ko", image(name, "02"))


def loaded(namespace: Namespace) -> list[str]:
    return [each.name for each in namespace.listing().modules]


def builds(namespace: Namespace) -> dict[str, str]:
    return {name: namespace._kernel.build(name).build_id for name in loaded(namespace)}


def reload(namespace: Namespace, *names: str, **how: Any) -> ReloadReport:
    call = how.pop("call", RequestContext())
    return namespace.reload(ReloadRequest(names=names, **how), call)


def fates(report: ReloadReport) -> dict[str, Fate]:
    return {each.name: each.fate for each in report.modules}


@contextmanager
def in_use(kernel: AnyKernel, name: str) -> Iterator[None]:
    """Have a module referenced as an open file does it."""
    assert isinstance(kernel, EmulatedKernel)
    table = kernel._table
    with table.mutex:
        assert table.hold(name)
        table.refresh()
    try:
        yield
    finally:
        with table.mutex:
            table.release(name)
            table.refresh()


def of(report: ReloadReport, name: str) -> ReloadedModule:
    return next(each for each in report.modules if each.name == name)


def words(report: ReloadReport) -> list[str]:
    signs = {InsertStep: "+", RemoveStep: "-"}
    return [f"{signs[type(each.step)]}{module_of(each.step)}" for each in report.steps]


def up(namespace: Namespace, name: str = "m5", parameters: str = "") -> None:
    assert namespace.load(LoadRequest(name=name, parameters=parameters)).error is None


def test_users_go_first_and_what_is_needed_comes_first(tree: ModuleTree) -> None:
    namespace, _ = namespace_on(tree)
    up(namespace)
    upgrade(tree, "m3")
    planned = reload(namespace, outdated=True, call=RequestContext(dry_run=True))
    assert words(planned) == ["-m5", "-m4", "-m3", "+m3", "+m4", "+m5"]
    assert set(fates(planned).values()) == {Fate.PLANNED}
    assert builds(namespace) == dict.fromkeys(CHAIN, "01")
    done = reload(namespace, outdated=True)
    assert words(done) == words(planned)
    assert all(step.done for step in done.steps)
    assert fates(done) == dict.fromkeys(("m5", "m4", "m3"), Fate.RELOADED)
    assert [each.cause.value for each in done.modules] == ["user", "user", "outdated"]
    assert builds(namespace) == {**dict.fromkeys(CHAIN, "01"), "m3": "02"}
    assert namespace.outdated() == ()
    assert reload(namespace, outdated=True).modules == ()


def test_a_chain_with_one_held_one_in_use_and_one_that_refuses_loses_nothing(
    tree: ModuleTree,
) -> None:
    namespace, kernel = namespace_on(tree)
    up(namespace)
    upgrade(tree)
    put(tree, "updates/m4.ko", image("m4", "03", OTHER_CRC))
    put(tree, "kernel/m4.ko", image("m4"))  # the build that is loaded, which updates hides
    with namespace.hold([LoadRequest(name="m1")], RequestContext(), unload=False, note="backup"):
        with in_use(kernel, "m2"):
            report = reload(namespace, outdated=True)
        assert fates(report) == {
            "m1": Fate.STAYED,
            "m2": Fate.STAYED,
            "m3": Fate.RELOADED,
            "m4": Fate.PUT_BACK,
            "m5": Fate.RELOADED,
        }
        held, used, refused = (of(report, name).error for name in ("m1", "m2", "m4"))
        assert held is not None
        assert held.reason is Reason.MODULE_HELD
        assert held.detail == "hold 1 of backup"
        assert used is not None
        assert used.reason is Reason.MODULE_IN_USE
        assert refused is not None
        assert (refused.reason, refused.symbol) == (Reason.SYMBOL_VERSION_MISMATCH, "m3_do")
        assert of(report, "m4").note == "from kernel/m4.ko"
        assert builds(namespace) == {
            **dict.fromkeys(("m1", "m2"), "01"),
            **dict.fromkeys(("m3", "m5"), "02"),
            "m4": "01",
        }
        assert sorted(loaded(namespace)) == sorted(CHAIN)
    assert namespace.idle()
    assert fates(reload(namespace, "m1")) == {
        **dict.fromkeys(("m1", "m2", "m3", "m5"), Fate.RELOADED),
        "m4": Fate.PUT_BACK,
    }


def test_what_uses_one_that_stays_is_named_and_stays(tree: ModuleTree) -> None:
    namespace, kernel = namespace_on(tree)
    up(namespace)
    with in_use(kernel, "m5"):
        report = reload(namespace, "m2", "nosuch")
        assert report.steps == ()
        error = of(report, "m2").error
        assert error is not None
        assert error.reason is Reason.MODULE_IN_USE
        assert error.detail == "m5"
        assert error.message.startswith(
            "module m2 is in use by m5, which stays: module m5 is in use by an open file or the"
        )
        missing = of(report, "nosuch").error
        assert missing is not None
        assert missing.reason is Reason.MODULE_NOT_LOADED


def test_a_build_that_is_gone_is_said_to_be_and_what_needs_it_too(tree: ModuleTree) -> None:
    namespace, _ = namespace_on(tree)
    up(namespace)
    put(tree, "kernel/m3.ko", image("m3", "02", OTHER_CRC))
    report = reload(namespace, "m3")
    assert fates(report) == dict.fromkeys(("m5", "m4", "m3"), Fate.LOST)
    assert of(report, "m3").note == "the build that it was has no file in the tree any more"
    needy = of(report, "m5").error
    assert needy is not None
    assert needy.message == "module m5 needs m3, which could not be loaded again"
    assert words(report) == ["-m5", "-m4", "-m3", "+m3"]
    assert loaded(namespace) == ["m2", "m1"]
    put(tree, "kernel/m3.ko", image("m3", "03"))
    up(namespace)
    assert sorted(loaded(namespace)) == sorted(CHAIN)


@pytest.mark.parametrize("last", ["m5", "other"])
def test_an_old_build_is_put_back_with_the_old_builds_that_it_needs(
    last: str, tree: ModuleTree
) -> None:
    was, becomes = 0x12345678, 0x777
    put(tree, "kernel/m4.ko", image("m4", crc=was))
    other = ModuleSpec(name="other", versions=(), imports=(Import("m3_do"),))
    put(tree, "kernel/other.ko", write_module(other))
    namespace, _ = namespace_on(tree)
    up(namespace, last)
    up(namespace)
    put(tree, "updates/m3.ko", image("m3", "02", exports=(Export("m3_do", crc=becomes),)))
    put(tree, "updates/m4.ko", image("m4", "02", OTHER_CRC))
    report = reload(namespace, outdated=True)
    if last == "m5":
        assert builds(namespace) == dict.fromkeys(CHAIN, "01")
        put_back = [each for each in report.modules if each.fate is Fate.PUT_BACK]
        assert {each.name: each.note for each in put_back} == {
            "m3": "from kernel/m3.ko",
            "m4": "from kernel/m4.ko",
        }
        assert fates(report)["m5"] is Fate.RELOADED
    else:  # what uses the new one keeps the old one out
        assert fates(report) == {
            **dict.fromkeys(("m5", "m4"), Fate.LOST),
            **dict.fromkeys(("other", "m3"), Fate.RELOADED),
        }
        assert builds(namespace) == {"other": "", "m3": "02", "m2": "01", "m1": "01"}
        assert "is refused, too: m4: Unknown symbol m3_do" in of(report, "m4").note


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: file.unlink(), Reason.MODULE_NOT_FOUND),
        (lambda file: file.write_bytes(b"nothing"), Reason.INVALID_MODULE_FILE),
        (lambda file: file.write_bytes(image("m1", "02")), Reason.INVALID_MODULE_FILE),
        (lambda file: file.write_bytes(image("m4", "02", exit=None)), None),
    ],
)
def test_a_file_that_cannot_take_its_place_is_told_before_anything_is_touched(
    spoil: Any, reason: Reason | None, tree: ModuleTree
) -> None:
    namespace, _ = namespace_on(tree)
    up(namespace)
    spoil(tree.directory / "kernel/m4.ko")
    report = reload(namespace, "m4")
    error = of(report, "m4").error
    if reason is None:  # a module that will not go is no worse than one that has come
        assert error is None
        assert reload(namespace, "m2").steps == ()
        return
    assert error is not None
    assert error.reason is reason
    assert (report.steps, len(loaded(namespace))) == ((), 5)
    assert fates(reload(namespace, "m5")) == {"m5": Fate.RELOADED}


def test_what_is_denied_by_now_is_not_taken_out(tree: ModuleTree) -> None:
    namespace, _ = namespace_on(tree)
    up(namespace)
    namespace.set_policy(DenyList([("m3", "it is bad")]), exact=False)
    error = of(reload(namespace, "m2"), "m2").error
    assert error is not None
    assert "m3, which stays: m3 is denied: it is bad" in error.message
    assert len(loaded(namespace)) == 5


def test_parameters_are_those_that_were_in_force(tree: ModuleTree, tmp_path: Path) -> None:
    config = tmp_path / "etc/modprobe.d"
    config.mkdir(parents=True)
    (config / "a.conf").write_text("options m1 times=5 whom=all\noptions m2 times=5\n")
    more = (
        TIMES,
        Param("whom", "charp", 0o444),
        Param("numbers", "int", 0o444, elements=4),
        Param("hidden", "int", 0),
        Param("gone", "int", 0o444),
        Param("loud", "bool", 0o600),
    )
    put(tree, "kernel/m1.ko", image("m1", parameters=more))
    namespace, kernel = namespace_on(tree)
    up(namespace, "m1", 'whom="two words" numbers=3,-4 hidden=7 gone=1 loud=1')
    up(namespace)
    namespace.set_parameter("m2", "times", "9")
    namespace.set_parameter("m3", "times", "8")
    put(tree, "kernel/m1.ko", image("m1", "02", parameters=more[:4] + more[5:]))
    report = reload(namespace, "m1")
    assert {each.name: each.parameters.text for each in report.modules} == {
        "m1": 'whom="two words" numbers=3,-4 loud=Y',
        "m2": "times=9",
        "m3": "times=8",
        "m4": "",
        "m5": "",
    }
    assert [each.private for each in of(report, "m1").parameters.given] == [False, False, True]
    assert of(report, "m1").parameters.left == ("gone",)
    details = kernel.details("m1")
    assert details is not None
    assert {each.name: each.value for each in details.parameters} == {
        "loud": "Y",
        "numbers": "3,-4",
        "times": "5",
        "whom": "two words",
    }


def test_a_value_that_the_new_build_refuses_is_left_and_said(tree: ModuleTree) -> None:
    namespace, kernel = namespace_on(tree)
    up(namespace, "m1", "times=-3")
    put(tree, "kernel/m1.ko", image("m1", "02", parameters=(Param("times", "uint", 0o644),)))
    report = reload(namespace, "m1")
    told = of(report, "m1")
    assert (told.fate, told.parameters.left) == (Fate.RELOADED, ("times",))
    assert "without the parameters that it had" in told.note
    assert kernel.build("m1").build_id == "02"


def test_who_asked_for_a_module_and_for_whom_it_is_held_stays_as_it_was(
    tree: ModuleTree, tmp_path: Path
) -> None:
    store = AskedStore(tmp_path / "asked", "a boot")
    namespace, kernel = namespace_on(tree, asked=store)
    kernel.init_module(image("m1"), "", InsertFlags.NONE)
    namespace.look()
    up(namespace, "m3")
    loader = Caller("/s", Role.LOADER, allow=("m4",))
    call = RequestContext(caller=loader)
    assert namespace.load(LoadRequest(name="m4"), call).error is None
    before = {name: namespace.origin_of(name) for name in loaded(namespace)}
    assert before == {
        "m1": Origin.OTHERS,
        "m2": Origin.DEPENDENCY,
        "m3": Origin.ASKED,
        "m4": Origin.ASKED,
    }
    stored = store.load(), store.by_loaders()
    over = threading.Event()
    with namespace.hold([LoadRequest(name="m5")], call=RequestContext(), unload=True, over=over):
        assert fates(reload(namespace, "m1"))["m1"] is Fate.STAYED
        report = reload(namespace, "m1", force_holders=True)
        assert fates(report) == dict.fromkeys(reversed(CHAIN), Fate.RELOADED)
        assert not over.is_set()
        assert namespace.hold_counts() == dict.fromkeys(CHAIN, 1)
        with pytest.raises(StateError, match="in use by: hold 1"):
            namespace.remove("m5")
    assert {name: namespace.origin_of(name) for name in loaded(namespace)} == before
    assert (store.load(), store.by_loaders()) == stored
    assert namespace.unload(UnloadRequest(name="m4"), call).error is None


def test_a_hold_whose_module_does_not_come_back_is_told_so(tree: ModuleTree) -> None:
    namespace, _ = namespace_on(tree)
    over = threading.Event()
    with namespace.hold([LoadRequest(name="m5")], RequestContext(), unload=False, over=over) as (
        hold,
        _,
    ):
        put(tree, "kernel/m5.ko", image("m5", "02", OTHER_CRC))
        assert fates(reload(namespace, "m5", force_holders=True)) == {"m5": Fate.LOST}
        assert over.is_set()
        assert hold.why is not None
        assert hold.why.message == "hold 1 is lost: a reload could not put back m5"
    assert namespace.origin_of("m5") is Origin.OTHERS  # nothing is left of it


def test_a_loader_reloads_what_it_may_have_and_no_more(tree: ModuleTree) -> None:
    namespace, _ = namespace_on(tree)
    call = RequestContext(caller=Caller("/s", Role.LOADER, allow=("m4", "m5")))
    up(namespace, "m3")
    assert namespace.load(LoadRequest(name="m5"), call).error is None
    upgrade(tree)
    report = reload(namespace, outdated=True, call=call)
    assert fates(report) == dict.fromkeys(("m5", "m4"), Fate.RELOADED)
    error = of(reload(namespace, "m3", call=call), "m3").error
    assert error is not None
    assert error.reason is Reason.ACCESS_DENIED
    namespace.load(LoadRequest(name="m5"))
    error = of(reload(namespace, "m4", call=call), "m4").error
    assert error is not None
    assert "an admin has asked for m5, which stays" in error.message


class SlowKernel(EmulatedKernel):
    """A kernel that stops before it loads or unloads "m3", until it is let go."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reached = threading.Event()
        self.go = threading.Event()
        self.on_removal = False

    @contextmanager
    def slowly(self) -> Iterator[None]:
        self.on_removal = True
        try:
            yield
        finally:
            self.on_removal = False
            self.go.set()

    def delete_module(self, name: str, *, force: bool = False) -> EmulationReport:
        if name == "m3" and self.on_removal:
            self.reached.set()
            assert self.go.wait(60)
        return super().delete_module(name, force=force)


class AskingKernel(EmulatedKernel):
    """A kernel where "m1" asks for "other" as it is loaded, by a program that nobody knows."""

    def finit_file(self, fd: int, *rest: Any) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("/m1.ko"):
            self.ask()
        super().finit_file(fd, *rest)

    def ask(self) -> None:
        """There is nobody to ask yet."""


def test_a_module_that_asks_for_one_that_is_out_does_not_wait_for_ever(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodd.namespace.module_locks.GIVE_WAY", 0.1)
    other = ModuleSpec(name="other", versions=(), parameters=(TIMES,))
    put(tree, "kernel/other.ko", write_module(other))
    namespace, kernel = namespace_on(tree, AskingKernel)
    assert isinstance(kernel, AskingKernel)
    up(namespace, "m1")
    up(namespace, "other", "times=4")
    with ThreadPoolExecutor(1) as threads:

        def ask() -> None:
            threads.submit(namespace.load, LoadRequest(name="other")).result(60)

        monkeypatch.setattr(kernel, "ask", ask)
        report = reload(namespace, "other", "m1")
    assert set(fates(report).values()) == {Fate.RELOADED}
    told = of(report, "other")
    assert (told.note, told.parameters.left) == ("another has loaded it meanwhile", ("times",))
    assert {*loaded(namespace)} == {"m1", "other"}


class DyingKernel(IsolatedKernel):
    """A kernel that dies while it loads one of the modules, or just before it."""

    dies_on = ""
    in_time = True

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        pid = self.pid
        if os.readlink(f"/proc/self/fd/{fd}").endswith(f"/{self.dies_on}.ko"):
            assert pid is not None
            self.dies_on = "nothing more"
            if self.in_time:
                os.kill(pid, signal.SIGSTOP)
                threading.Thread(target=self.die, args=(pid,)).start()
            else:
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: self.pid != pid)
        super().finit_module(fd, parameters, flags)

    def die(self, pid: int) -> None:
        """Kill the kernel once it has a call."""
        wait_until(lambda: bool(self._boot and self._boot._calls))
        os.kill(pid, signal.SIGKILL)


def test_others_give_way_and_a_client_that_goes_ends_nothing(tree: ModuleTree) -> None:
    namespace, kernel = namespace_on(tree, SlowKernel)
    assert isinstance(kernel, SlowKernel)
    up(namespace, "m5")
    namespace.set_parameter("m4", "times", "4")
    upgrade(tree)
    gone = threading.Event()
    with ThreadPoolExecutor(4) as threads:
        with kernel.slowly():
            first = threads.submit(
                partial(reload, namespace, outdated=True, call=RequestContext(gone=gone))
            )
            assert kernel.reached.wait(60)
            load = threads.submit(namespace.load, LoadRequest(name="m4"))
            again = threads.submit(reload, namespace, "m4", outdated=True)
            named = threads.submit(reload, namespace, "m2")
            wait_until(lambda: len(namespace.activity().operations) == 4)
            assert namespace.unload(UnloadRequest(name="m1")).error is not None
            gone.set()
            assert (loaded(namespace), {*namespace.wish_facts().loaded}) == (
                ["m3", "m2", "m1"],
                {*CHAIN},
            )
        assert fates(first.result()) == dict.fromkeys(reversed(CHAIN), Fate.RELOADED)
        assert load.result().error is None
        assert [step.needless for step in load.result().steps] == [True] * len(load.result().steps)
        assert fates(again.result()) == {"m4": Fate.NEEDLESS}
        assert fates(named.result()) == {"m2": Fate.NEEDLESS}
    assert builds(namespace) == dict.fromkeys(CHAIN, "02")
    assert namespace.shown_parameters("m4")["times"].value == "4"
    assert namespace.idle()
    with pytest.raises(KmoddError) as caught:
        reload(namespace, "m4", call=RequestContext(gone=gone))
    assert caught.value.reason is Reason.CALLER_GONE


def test_one_that_cannot_go_after_all_stays_and_what_has_gone_comes_back(tree: ModuleTree) -> None:
    namespace, kernel = namespace_on(tree, SlowKernel)
    assert isinstance(kernel, SlowKernel)
    up(namespace)
    with ThreadPoolExecutor(1) as threads, kernel.slowly():
        running = threads.submit(reload, namespace, "m2")
        assert kernel.reached.wait(60)
        with in_use(kernel, "m3"):
            kernel.go.set()
            report = running.result()
    assert fates(report) == {
        **dict.fromkeys(("m5", "m4"), Fate.RELOADED),
        **dict.fromkeys(("m3", "m2"), Fate.STAYED),
    }
    errors: Sequence[KmoddError | None] = [of(report, name).error for name in ("m3", "m2")]
    assert [each.message for each in errors if each] == [
        "module m3 is in use",
        "module m2 is in use by m3, which stays",
    ]
    assert len(loaded(namespace)) == 5


def test_wishes_are_as_they_were_and_what_is_lost_is_nobodys_hand(
    tree: ModuleTree, tmp_path: Path
) -> None:
    with kept_machine(tree, tmp_path / "wishes") as machine:
        machine.wish(wishes("m3 held times=3", "m5 loaded", "m4 loaded enforce"))
        assert fates(reload(machine.namespace, "m3"))["m3"] is Fate.STAYED
        upgrade(tree)
        report = reload(machine.namespace, outdated=True, force_holders=True)
        assert set(fates(report).values()) == {Fate.RELOADED}
        machine.settle()
        assert machine.told() == dict.fromkeys(("m3", "m5", "m4"), "done")
        assert [each.names for each in machine.namespace.activity().holds] == [("m3",)]
        assert machine.namespace.shown_parameters("m3")["times"].value == "3"
        assert machine.namespace.origin_of("m5") is Origin.STATE
        put(tree, "kernel/m5.ko", image("m5", "03", OTHER_CRC))
        assert fates(reload(machine.namespace, "m5")) == {"m5": Fate.LOST}
        machine.settle()
        assert machine.told()["m5"].startswith("impossible: m5: Unknown symbol m4_do")


@pytest.mark.parametrize("in_time", [True, False])
def test_a_kernel_that_dies_in_the_middle_ends_it_and_all_that_is_out_is_told(
    in_time: bool, tree: ModuleTree
) -> None:
    namespace, kernel = namespace_on(tree, DyingKernel)
    assert isinstance(kernel, DyingKernel)
    up(namespace)
    upgrade(tree)
    kernel.dies_on, kernel.in_time = "m4", in_time
    report = reload(namespace, "m1")
    found = set(fates(report).values())
    reasons = {each.error.reason for each in report.modules if each.error}
    assert reasons == {Reason.KERNEL_PANIC}
    assert fates(report)["m5"] is Fate.LOST
    assert words(report)[5:8] == ["+m1", "+m2", "+m3"]
    assert {name for name, fate in fates(report).items() if fate is Fate.LOST} == (
        {*CHAIN} - {*loaded(namespace)}
    )
    assert (found == {Fate.LOST}) is in_time
    assert namespace.idle()
    assert {*namespace.wish_facts().loaded} == {*loaded(namespace)}
    kernel.close()

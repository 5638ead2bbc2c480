# SPDX-License-Identifier: Apache-2.0
"""The seal: the last word on loading until the next boot; tests/realkernel sets a kernel's own."""

import errno
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodctl import CallError
from kmodd.access.caller import Caller, Role
from kmodd.access.peer import Peer
from kmodd.errors import KernelError, KmoddError, Reason
from kmodd.kernel.base import MODULES_DISABLED, EmulationReport, InsertFlags, Sealable
from kmodd.kernel.emulated.system_calls.kernel import EmulatedKernel
from kmodd.kernel.linux import LinuxKernel
from kmodd.namespace import Namespace, RequestContext
from kmodd.namespace.sealing import PAUSE, seal_words
from kmodd.owner import sealed_in_time
from kmodd.plan import DenyList, LoadRequest, UnloadRequest
from kmodd.settings import Settings
from kmodd.settings.toml import read_settings
from kmodd.state import Seal, SealStore
from tests.support.daemon import running_daemon, wait_until
from tests.support.modules import SOURCES, module_tree
from tests.support.namespaces import namespace_on

ROOT = Caller("/run/x.sock", Role.ADMIN, peer=Peer(uid=0, gids=frozenset(), pid=7, command="cli"))
CALL = RequestContext(caller=ROOT)
PATIENCE = 60.0


class Sealed(EmulatedKernel):
    """A kernel with the machine's switch: it then refuses as Linux does."""

    is_disabled = False
    refused = 0

    def disable_modules(self) -> None:
        if self.refused:
            raise KernelError(Reason.KERNEL_REFUSED, "no", errno=self.refused)
        self.is_disabled = True

    def refusal(self) -> str:
        return MODULES_DISABLED if self.is_disabled else super().refusal()

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        self._check()
        super().finit_module(fd, parameters, flags)

    def init_module(self, image: bytes, parameters: str, flags: InsertFlags) -> None:
        self._check()
        super().init_module(image, parameters, flags)

    def delete_module(self, name: str, *, force: bool = False) -> EmulationReport:
        self._check()
        return super().delete_module(name, force=force)

    def _check(self) -> None:
        if self.is_disabled:
            raise KernelError(Reason.KERNEL_REFUSED, MODULES_DISABLED, errno=errno.EPERM)


@pytest.fixture
def store(tmp_path: Path) -> SealStore:
    return SealStore(tmp_path / "run", "this boot")


@pytest.fixture
def served(tmp_path: Path, store: SealStore) -> Iterator[tuple[Namespace, Sealed]]:
    namespace, kernel = namespace_on(module_tree(tmp_path / "root"), Sealed, seals=store)
    assert isinstance(kernel, Sealed)
    yield namespace, kernel
    namespace.stop()


def test_what_is_asked_for_afterwards_is_told_who_has_sealed_and_when(
    served: tuple[Namespace, Sealed], store: SealStore
) -> None:
    namespace, kernel = served
    namespace.load(LoadRequest(name="greet"))
    seal = namespace.seal(CALL)
    assert kernel.is_disabled
    assert seal.by == "uid 0, pid 7 cli"
    assert store.load() == seal
    failures = [
        namespace.load(LoadRequest(name="facade")).error,
        namespace.unload(UnloadRequest(name="greet")).error,
    ]
    for error in failures:
        assert error is not None
        assert (error.reason, error.errno) == (Reason.MODULES_DISABLED, errno.EPERM)
        assert error.message == f"{MODULES_DISABLED}: {seal_words(seal)}"
    with pytest.raises(KmoddError, match=r"sealed at .* by uid 0, pid 7 cli"):
        namespace.insert((SOURCES / "hello.ko").read_bytes(), "hello.ko", "", InsertFlags.NONE)
    # What is loaded is loaded all the same.
    assert namespace.load(LoadRequest(name="greet")).error is None


def test_a_seal_is_set_once_and_the_next_daemon_knows_of_it(
    served: tuple[Namespace, Sealed], store: SealStore
) -> None:
    namespace, kernel = served
    first = namespace.seal(CALL)
    assert namespace.seal() == first
    later = Namespace(kernel, namespace._trees, namespace._calls.commands, seals=store)
    assert later.sealing.seal == first
    assert later.seal() == first


def test_it_waits_for_what_is_under_way(served: tuple[Namespace, Sealed]) -> None:
    namespace, kernel = served
    sealing = threading.Thread(target=namespace.seal)
    with namespace._operations.begin("load", "something", CALL):
        sealing.start()
        sealing.join(4 * PAUSE)
        assert sealing.is_alive()
        assert not kernel.is_disabled
    sealing.join(PATIENCE)
    assert kernel.is_disabled


def test_two_who_seal_do_not_wait_for_each_other(served: tuple[Namespace, Sealed]) -> None:
    namespace, kernel = served
    both = [threading.Thread(target=namespace.seal) for _ in range(2)]
    with namespace._operations.begin("load", "something", CALL):
        for thread in both:
            thread.start()
        wait_until(lambda: len(namespace.activity().operations) == 3, seconds=PATIENCE)
    for thread in both:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert kernel.is_disabled


def test_a_stop_and_a_caller_who_has_gone_end_the_wait(served: tuple[Namespace, Sealed]) -> None:
    namespace, kernel = served
    gone = threading.Event()
    gone.set()
    with namespace._operations.begin("load", "something", CALL):
        with pytest.raises(KmoddError) as raised:
            namespace.seal(RequestContext(gone=gone))
        assert raised.value.reason is Reason.CALLER_GONE
        namespace.stop()
        with pytest.raises(KmoddError) as raised:
            namespace.seal()
        assert raised.value.reason is Reason.SHUTTING_DOWN
    assert not kernel.is_disabled


def test_a_kernel_that_does_not_let_itself_be_sealed_is_not(
    served: tuple[Namespace, Sealed], store: SealStore
) -> None:
    namespace, kernel = served
    kernel.refused = errno.EROFS
    with pytest.raises(KernelError) as raised:
        namespace.seal()
    assert raised.value.errno == errno.EROFS
    assert (namespace.sealing.seal, store.load()) == (None, None)


def test_an_emulated_kernel_is_not_sealed(tmp_path: Path) -> None:
    namespace = namespace_on(module_tree(tmp_path))[0]
    with pytest.raises(KernelError) as raised:
        namespace.seal()
    assert raised.value.errno == errno.EOPNOTSUPP


def test_a_kernel_that_was_disabled_otherwise_is_told_as_ever(
    served: tuple[Namespace, Sealed],
) -> None:
    namespace, kernel = served
    kernel.is_disabled = True
    error = namespace.load(LoadRequest(name="greet")).error
    assert error is not None
    assert error.reason is Reason.KERNEL_REFUSED


def test_what_would_be_missing_is_told_once_for_each_name(served: tuple[Namespace, Sealed]) -> None:
    namespace, _ = served
    namespace.sealing.wanted = lambda: [
        ("kmodd-test:a", "/devices/one"),
        ("kmodd-test:a", "/devices/two"),
        ("nothing:here", "/devices/three"),
        ("greet", "/etc/modules-load.d/a.conf:1"),
    ]
    told = [(each.name, each.wanted_by) for each in namespace.missing()]
    assert told == [
        ("kmodd-test:a", "/devices/one"),
        ("greet", "/etc/modules-load.d/a.conf:1"),
    ]
    namespace.set_policy(DenyList([("facade", "")]), exact=False)
    assert [each.name for each in namespace.missing()] == ["greet"]
    namespace.set_policy(DenyList(), exact=False)
    namespace.load(LoadRequest(name="facade"))
    assert namespace.missing() == ()


def test_the_settings_have_it_sealed_in_time(served: tuple[Namespace, Sealed]) -> None:
    namespace, kernel = served
    with sealed_in_time(Settings(seal_after=0.01), namespace):
        wait_until(lambda: kernel.is_disabled, seconds=PATIENCE)
        wait_until(lambda: namespace.sealing.seal is not None, seconds=PATIENCE)
    seal = namespace.sealing.seal
    assert seal is not None
    assert seal.by == "seal_after"


@pytest.mark.parametrize(
    ("text", "seconds"), [('"10min"', 600), ('"2h"', 7200), ('"30 s"', 30), ("1.5", 1.5)]
)
def test_a_time_has_a_unit_or_is_in_seconds(tmp_path: Path, text: str, seconds: float) -> None:
    file = tmp_path / "kmodd.toml"
    file.write_text(f"seal_after = {text}\n")
    assert read_settings(file, Settings()).seal_after == seconds


@pytest.mark.parametrize("text", ['"soon"', '"10 days"', "0", "-1", "true", '"0min"'])
def test_what_is_no_time_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kmodd.toml"
    file.write_text(f"seal_after = {text}\n")
    with pytest.raises(KmoddError, match=r"kmodd\.toml:1: seal_after is a time in seconds"):
        read_settings(file, Settings())


@pytest.mark.parametrize(
    "content",
    ["", "[]", "nonsense", '{"boot_id": "this boot", "time": "now", "by": "me"}', "[" * 100000],
)
def test_a_damaged_record_is_dropped(tmp_path: Path, store: SealStore, content: str) -> None:
    store.store(Seal(1.0, "me"))
    assert store.load() == Seal(1.0, "me")
    assert SealStore(tmp_path / "run", "another boot").load() is None
    (tmp_path / "run/seal.json").write_text(content)
    assert store.load() is None


def test_the_switch_of_the_machine_is_turned(tmp_path: Path) -> None:
    switch = tmp_path / "proc/sys/kernel/modules_disabled"
    switch.parent.mkdir(parents=True)
    switch.write_text("0\n")
    kernel = LinuxKernel(proc=tmp_path / "proc", sysfs=tmp_path / "sys", log_device=tmp_path / "k")
    kernel.disable_modules()
    assert switch.read_text() == "1\n"
    switch.unlink()
    switch.mkdir()
    with pytest.raises(KernelError, match=r"kernel\.modules_disabled cannot be set") as raised:
        kernel.disable_modules()
    assert raised.value.errno == errno.EISDIR
    assert isinstance(kernel, Sealable)


def test_a_client_is_told_what_is_missing_and_why_there_is_no_seal(tmp_path: Path) -> None:
    tree = module_tree(tmp_path / "root")
    wanted = tmp_path / "root/etc/modules-load.d/a.conf"
    wanted.parent.mkdir(parents=True)
    wanted.write_text("greet\nnosuch\n")
    with running_daemon(tree.root) as daemon, daemon.client() as client:
        answer = client.seal(check=True)
        missing = [(each.name, each.wanted_by) for each in answer.missing]
        assert missing == [("greet", f"{wanted}:1")]
        with pytest.raises(CallError) as raised:
            client.seal()
        assert (raised.value.reason, raised.value.errno) == ("KERNEL_REFUSED", errno.EOPNOTSUPP)
        status = client.status()
        assert (status.refusal, status.HasField("seal")) == ("", False)
        shown = daemon.kmodctl("seal", "--check")
        assert shown.returncode == 1
        assert shown.stdout == f"not loaded: greet, which {wanted}:1 wants\n"
        client.load("greet")
        shown = daemon.kmodctl("seal", "--check")
        assert (shown.returncode, shown.stdout) == (0, "nothing is missing\n")
        assert json.loads(daemon.kmodctl("--json", "seal", "--check").stdout) == {"missing": []}

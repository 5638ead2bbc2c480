# SPDX-License-Identifier: Apache-2.0
"""Parameters of loaded modules, as the namespace shows and sets them."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kmodd.errors import KmoddError, Reason
from kmodd.kernel.base import EmulationReport, InsertFlags
from kmodd.kernel.emulated import EmulatedKernel
from kmodd.namespace import Namespace
from kmodd.plan import LoadRequest
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.namespaces import namespace_of
from tests.support.param_writer import Param

SECONDS = 60.0


class GatedKernel(EmulatedKernel):
    """A kernel whose loads and unloads take until the test lets them end."""

    entered = threading.Semaphore(0)
    gate = threading.Semaphore(0)

    def finit_module(self, fd: int, parameters: str, flags: InsertFlags) -> None:
        self._pass()
        super().finit_module(fd, parameters, flags)

    def delete_module(self, name: str, *, force: bool = False) -> EmulationReport:
        self._pass()
        return super().delete_module(name, force=force)

    def _pass(self) -> None:
        self.entered.release()
        assert self.gate.acquire(timeout=SECONDS)


@pytest.fixture
def namespace(tmp_path: Path) -> Namespace:
    """A namespace with greet in its kernel."""
    made = namespace_of(tmp_path / "root", EmulatedKernel)
    assert made.load(LoadRequest(name="greet")).error is None
    return made


def failure(of: Namespace, module: str, name: str, value: str) -> KmoddError:
    with pytest.raises(KmoddError) as refused:
        of.set_parameter(module, name, value)
    assert of.idle()
    return refused.value


def test_a_parameter_is_shown_with_what_its_author_says(namespace: Namespace) -> None:
    _, parameters = namespace.details("greet")
    assert [each.shown.name for each in parameters] == ["loud", "numbers", "times", "whom"]
    assert [each.type for each in parameters] == ["bool", "array of int", "int", "charp"]
    assert parameters[3].description == "Whom to greet"


def test_a_file_of_another_build_says_nothing(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path / "root", EmulatedKernel)
    spec = ModuleSpec(name="greet", parameters=(Param("times"),), modinfo=(("srcversion", "0123"),))
    namespace.insert(write_module(spec), "greet.ko", "", InsertFlags.NONE)
    details, (times,) = namespace.details("greet")
    assert (details.source_version, times.type, times.description) == ("0123", "", "")


def test_a_module_of_no_tree_has_no_descriptions(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path / "root", EmulatedKernel)
    spec = ModuleSpec(name="stranger", parameters=(Param("times"),))
    namespace.insert(write_module(spec), "stranger.ko", "", InsertFlags.NONE)
    _, (times,) = namespace.details("stranger")
    assert (times.shown.name, times.type, times.description) == ("times", "", "")


def test_what_was_set_is_returned_as_the_kernel_shows_it(namespace: Namespace) -> None:
    assert namespace.set_parameter("greet", "loud", "1").shown.value == "Y"
    assert namespace.set_parameter("greet", "times", "0x10").shown.value == "16"
    assert namespace.idle()


@pytest.mark.parametrize(
    ("module", "name", "value", "reason", "code"),
    [
        ("greet", "times", "x\0y", Reason.INVALID_PARAMETER, errno.EINVAL),
        ("greet", "times", "1" * 4096, Reason.INVALID_PARAMETER, errno.E2BIG),
        ("greet", "times", "x", Reason.INVALID_PARAMETER, errno.EINVAL),
        ("greet", "whom", "x", Reason.KERNEL_REFUSED, errno.EACCES),
        ("greet", "../times", "1", Reason.PARAMETER_NOT_FOUND, errno.ENOENT),
        ("greet", "", "1", Reason.PARAMETER_NOT_FOUND, errno.ENOENT),
        ("greet", "x" * 100_000, "1", Reason.PARAMETER_NOT_FOUND, errno.ENOENT),
        ("world", "times", "1", Reason.MODULE_NOT_LOADED, errno.ENOENT),
        ("", "times", "1", Reason.INVALID_NAME, errno.EINVAL),
        ("gr\0eet", "times", "1", Reason.INVALID_NAME, errno.EINVAL),
    ],
)
def test_what_cannot_be_set_is_refused(
    namespace: Namespace, module: str, name: str, value: str, reason: Reason, code: int
) -> None:
    error = failure(namespace, module, name, value)
    assert (error.reason, error.errno) == (reason, code)


def test_nobody_sets_a_parameter_while_the_module_comes_or_goes(tmp_path: Path) -> None:
    namespace = namespace_of(tmp_path / "root", GatedKernel)
    with ThreadPoolExecutor(2) as threads:
        load = threads.submit(namespace.load, LoadRequest(name="greet"))
        assert GatedKernel.entered.acquire(timeout=SECONDS)
        store = threads.submit(namespace.set_parameter, "greet", "times", "5")
        with pytest.raises(TimeoutError):
            store.result(0.05)
        GatedKernel.gate.release()
        assert load.result(SECONDS).error is None
        assert store.result(SECONDS).shown.value == "5"
        unload = threads.submit(namespace.remove, "greet")
        assert GatedKernel.entered.acquire(timeout=SECONDS)
        store = threads.submit(namespace.set_parameter, "greet", "times", "6")
        with pytest.raises(TimeoutError):
            store.result(0.05)
        GatedKernel.gate.release()
        unload.result(SECONDS)
        error = store.exception(SECONDS)
    assert isinstance(error, KmoddError)
    assert error.reason is Reason.MODULE_NOT_LOADED
    assert namespace.idle()

# SPDX-License-Identifier: Apache-2.0
"""Modules whose own name, which the kernel has, is not the normal form of their file's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kmodd.errors import Reason, StateError
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated import EmulatedKernel, IsolatedKernel
from kmodd.kernel.linux import LinuxKernel
from kmodd.namespace import Namespace
from kmodd.namespace.load_origins import Origin
from kmodd.namespace.loaded_names import LoadedNames
from kmodd.plan import LoadRequest, UnloadRequest
from tests.support.namespaces import namespace_on
from tests.support.small_tree import add_module, empty_tree
from tests.support.tree import ModuleTree

OWN = {"foo": "foo.bar", "my_mod": "my-mod"}
"""What the kernel calls the modules, by what kmod calls them."""


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    tree = empty_tree(tmp_path)
    for own in OWN.values():
        add_module(tree, f"kernel/{own}.ko", exports=[f"{own[:2]}_do"], own_name=own)
    add_module(tree, "kernel/u-ser.ko", imports=["fo_do", "my_do"], own_name="u-ser")
    add_module(tree, "kernel/plain.ko")
    return tree


@pytest.fixture(params=[EmulatedKernel, IsolatedKernel])
def namespace(tree: ModuleTree, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    namespace, kernel = namespace_on(tree, request.param)
    yield namespace
    kernel.close()


def names(namespace: Namespace) -> list[str]:
    return [module.name for module in namespace.listing().modules]


@pytest.mark.parametrize("name", OWN)
def test_such_a_module_is_found_live_by_a_second_load(namespace: Namespace, name: str) -> None:
    first = namespace.load(LoadRequest(name=name))
    assert (first.error, [step.done for step in first.steps]) == (None, [True])
    assert names(namespace) == [OWN[name]]
    second = namespace.load(LoadRequest(name=name))
    assert (second.error, second.steps) == (None, ())
    again = namespace.load(LoadRequest(name=name, first_time=True)).error
    assert again is not None
    assert again.reason is Reason.MODULE_ALREADY_LOADED
    assert namespace.origin_of(OWN[name]) is Origin.ASKED


@pytest.mark.parametrize("spelling", ["foo", "foo.bar", "my_mod", "my-mod"])
def test_such_a_module_goes_by_either_name(namespace: Namespace, spelling: str) -> None:
    for name in OWN:
        assert namespace.load(LoadRequest(name=name)).error is None
    own = "my-mod" if spelling.startswith("my") else "foo.bar"
    assert namespace.module(spelling).name == own
    assert namespace.details(spelling)[0].module.name == own
    namespace.remove(spelling)
    assert own not in names(namespace)
    with pytest.raises(StateError) as gone:
        namespace.remove(spelling)
    assert gone.value.reason is Reason.MODULE_NOT_LOADED


@pytest.mark.parametrize("spelling", ["foo", "foo.bar", "my_mod", "my-mod"])
def test_such_a_module_is_unloaded_as_modprobe_does(namespace: Namespace, spelling: str) -> None:
    for name in OWN:
        assert namespace.load(LoadRequest(name=name)).error is None
    assert namespace.unload(UnloadRequest(name=spelling)).error is None
    left = "foo.bar" if spelling.startswith("my") else "my-mod"
    assert names(namespace) == [left]


def test_such_modules_are_users_and_used(namespace: Namespace) -> None:
    assert namespace.load(LoadRequest(name="u-ser")).error is None
    assert names(namespace)[0] == "u-ser"
    again = namespace.load(LoadRequest(name="u_ser"))
    assert (again.error, again.steps) == (None, ())
    refused = namespace.unload(UnloadRequest(name="foo")).error
    assert refused is not None
    assert (refused.reason, refused.detail) == (Reason.MODULE_IN_USE, "u_ser")
    done = namespace.unload(UnloadRequest(name="foo", remove_holders=True))
    assert (done.error, names(namespace)) == (None, [])
    assert namespace.load(LoadRequest(name="u-ser")).error is None
    assert namespace.unload(UnloadRequest(name="u-ser")).error is None
    assert names(namespace) == []


def test_such_a_module_is_inserted_and_told(namespace: Namespace, tree: ModuleTree) -> None:
    image = (tree.directory / "kernel/foo.bar.ko").read_bytes()
    module = namespace.insert(image, "foo.bar.ko", "", InsertFlags.NONE)
    assert module.name == "foo.bar"
    assert namespace.origin_of("foo.bar") is Origin.ASKED
    with pytest.raises(StateError):
        namespace.remove("foo.baz")
    namespace.remove("foo.bar")
    assert namespace.origin_of("foo.bar") is Origin.OTHERS  # it was forgotten


def test_a_hold_keeps_such_a_module(namespace: Namespace) -> None:
    requests = [LoadRequest(name="u-ser")]
    with namespace.hold(requests, unload=True) as (hold, _):
        assert hold.pins == {"foo", "my_mod", "u_ser"}
        assert namespace.hold_counts()["foo"] == 1
        for spelling in ("u-ser", "u_ser"):
            with pytest.raises(StateError) as held:
                namespace.remove(spelling)
            assert held.value.reason is Reason.MODULE_HELD
    assert names(namespace) == []


def test_the_kernels_own_name_comes_first(namespace: Namespace, tree: ModuleTree) -> None:
    foo = add_module(tree, "extra/foo.ko")
    dotted = tree.directory / "kernel/foo.bar.ko"
    for path in (foo, dotted):
        namespace.insert(path.read_bytes(), path.name, "", InsertFlags.NONE)
    assert namespace.module("foo").name == "foo"
    assert namespace.module("foo.bar").name == "foo.bar"
    namespace.remove("foo.bar")
    assert names(namespace) == ["foo"]
    namespace.insert(dotted.read_bytes(), dotted.name, "", InsertFlags.NONE)
    namespace.remove("foo")
    assert names(namespace) == ["foo.bar"]


def test_the_machines_kernel_is_asked_by_its_own_names(tmp_path: Path) -> None:
    listed = "u-ser 1 0 - Live 0x0\nfoo.bar 1 1 u-ser, Live 0x0\nplain 1 1 u-ser, Live 0x0\n"
    (tmp_path / "modules").write_text(listed)
    kernel = LinuxKernel(proc=tmp_path, sysfs=tmp_path, log_device=tmp_path / "kmsg")
    names = LoadedNames(kernel)
    assert [names.own(name) for name in ("foo", "foo.bar", "u_ser", "u-ser", "plain")] == [
        *("foo.bar", "foo.bar", "u-ser", "u-ser", "plain")
    ]
    assert [names.own(name) for name in ("nosuch", "foo.baz", "pla")] == [
        "nosuch",
        "foo.baz",
        "pla",
    ]
    called = names.by_name(kernel.modules())
    assert {name: module.holders for name, module in called.items()} == {
        "u_ser": (),
        "foo": ("u_ser",),
        "plain": ("u_ser",),
    }
    (tmp_path / "modules").write_text("plain 1 0 - Live 0x0\n")
    assert (names.find("foo"), names.called("foo.bar")) == (None, "foo.bar")

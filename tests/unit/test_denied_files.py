# SPDX-License-Identifier: Apache-2.0
"""What is denied is a module, whatever its file is called."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kmodd.access.caller import Caller, Role
from kmodd.errors import KmoddError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.modulefile import Compression, ModuleFile
from kmodd.modulefile.identity import Identity, read_identity
from kmodd.namespace import Namespace, RequestContext
from kmodd.plan import DenyList, LoadRequest
from tests.support.compression import compress
from tests.support.elf_patch import with_modinfo
from tests.support.elf_writer import ExtraSection, Import, ModuleSpec, build_note, write_module
from tests.support.namespaces import namespace_on
from tests.support.small_tree import add_module, empty_tree
from tests.support.tree import ModuleTree

BUILD = "00ff17"
LEAKY = DenyList([("leaky", "it leaks")])
LOADER = Caller("/s", Role.LOADER, allow=("x", "user"), deny=("bad",))
THIS_MODULE = ".gnu.linkonce.this_module"


def module(name: str = "leaky", **changes: object) -> bytes:
    return write_module(ModuleSpec(name=name, versions=(), **changes))  # type: ignore[arg-type]


def put(tree: ModuleTree, path: str, image: bytes) -> Path:
    file = tree.directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(image)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    return empty_tree(tmp_path)


def refusal(call: Callable[[], object]) -> KmoddError:
    with pytest.raises(KmoddError) as caught:
        call()
    return caught.value


def names(namespace: Namespace) -> Sequence[str]:
    return [each.name for each in namespace.listing().modules]


def failure(
    namespace: Namespace, name: str, call: RequestContext | None = None
) -> KmoddError | None:
    return namespace.load(LoadRequest(name=name), call or RequestContext()).error


def test_a_copy_under_another_name_is_denied_in_a_tree(tree: ModuleTree) -> None:
    add_module(tree, "kernel/x.ko", own_name="leaky")
    namespace, _ = namespace_on(tree, deny=LEAKY)
    error = failure(namespace, "x")
    assert error is not None
    assert error.reason is Reason.MODULE_DENIED
    assert error.message == "x, the module leaky, is denied: it leaks"
    assert names(namespace) == []


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_compressed_copy_is_denied_too(tree: ModuleTree, suffix: str) -> None:
    add_module(tree, f"kernel/x.ko{suffix}", own_name="leaky")
    namespace, _ = namespace_on(tree, deny=LEAKY)
    error = failure(namespace, "x")
    assert error is not None
    assert error.reason is Reason.MODULE_DENIED


def test_nothing_is_loaded_where_a_copy_is_needed_and_a_soft_dependency_is_left_out(
    tree: ModuleTree,
) -> None:
    add_module(tree, "kernel/base.ko", exports=["base_do"])
    add_module(tree, "kernel/x.ko", exports=["x_do"], imports=["base_do"], own_name="leaky")
    add_module(tree, "kernel/user.ko", imports=["x_do"])
    add_module(tree, "kernel/front.ko", softdeps=["pre: x"])
    namespace, _ = namespace_on(tree, deny=LEAKY)
    error = failure(namespace, "user")
    assert error is not None
    assert error.message == "user needs x, the module leaky, which is denied: it leaks"
    assert names(namespace) == []
    assert failure(namespace, "front") is None
    assert "leaky" not in names(namespace)


@pytest.mark.parametrize("path", ["./x.ko", "/tmp/x.ko", "x.ko.gz"])
def test_an_uploaded_copy_is_denied(tree: ModuleTree, path: str) -> None:
    image = module()
    if path.endswith(".gz"):
        image = compress(image, Compression.GZIP)
    namespace, _ = namespace_on(tree, deny=LEAKY)
    outcome = namespace.load_file(image, path, LoadRequest(name=""))
    assert outcome.error is not None
    assert outcome.error.reason is Reason.MODULE_DENIED
    error = refusal(lambda: namespace.insert(image, path, "", InsertFlags.NONE))
    assert error.reason is Reason.MODULE_DENIED
    assert names(namespace) == []


def test_an_inserted_file_goes_by_its_own_name_too(tree: ModuleTree) -> None:
    namespace, _ = namespace_on(tree, deny=LEAKY)
    error = refusal(lambda: namespace.insert(module("other"), "leaky.ko", "", InsertFlags.NONE))
    assert error.message == "leaky is denied: it leaks"


def test_a_module_goes_by_the_name_in_its_modinfo_too(tree: ModuleTree) -> None:
    image = with_modinfo(module("x"), b"license=GPL\0name=leaky\0vermagic=6.1\0")
    put(tree, "kernel/x.ko", image)
    namespace, _ = namespace_on(tree, deny=LEAKY)
    error = failure(namespace, "x")
    assert error is not None
    assert error.reason is Reason.MODULE_DENIED


@pytest.mark.parametrize("first", [True, False])
def test_a_second_section_of_the_name_hides_nothing(tree: ModuleTree, first: bool) -> None:
    own, hidden = ("x", "leaky") if first else ("leaky", "x")
    section = ExtraSection(THIS_MODULE, (bytes(24) + hidden.encode()).ljust(0x380, b"\0"))
    put(tree, "kernel/x.ko", module(own, sections=(section,)))
    namespace, _ = namespace_on(tree, deny=LEAKY)
    error = failure(namespace, "x")
    assert error is not None
    assert error.reason is Reason.MODULE_DENIED


@pytest.mark.parametrize(("own", "pattern"), [("my-mod", "my_mod"), ("foo.bar", "foo")])
def test_an_unusual_name_is_matched_as_names_are(tree: ModuleTree, own: str, pattern: str) -> None:
    add_module(tree, "kernel/x.ko", own_name=own)
    namespace, _ = namespace_on(tree, deny=DenyList([(pattern, "")]))
    error = failure(namespace, "x")
    assert error is not None
    assert error.reason is Reason.MODULE_DENIED


def test_a_build_is_denied_whatever_it_is_called(tree: ModuleTree) -> None:
    image = module("x", sections=(build_note(BUILD),))
    put(tree, "kernel/x.ko", image)
    put(tree, "kernel/y.ko.xz", compress(image, Compression.XZ))
    put(tree, "kernel/z.ko", module("z", sections=(build_note("00ff18"),)))
    namespace, _ = namespace_on(tree, deny=DenyList((), [(BUILD, "CVE")]))
    for name in ("x", "y"):
        error = failure(namespace, name)
        assert error is not None
        assert error.message == f"{name}, build {BUILD}, is denied: CVE"
    error = refusal(lambda: namespace.insert(image, "w.ko", "", InsertFlags.NONE))
    assert error.reason is Reason.MODULE_DENIED
    outcome = namespace.load_file(image, "w.ko", LoadRequest(name=""))
    assert outcome.error is not None
    assert outcome.error.reason is Reason.MODULE_DENIED
    assert failure(namespace, "z") is None


def test_what_does_not_tell_its_name_is_not_loaded_where_something_is_denied(
    tree: ModuleTree,
) -> None:
    image = module(this_module_size=0)
    put(tree, "kernel/x.ko", image)
    put(tree, "kernel/front.ko", module("front", modinfo=(("softdep", "pre: x"),)))
    namespace, _ = namespace_on(tree, deny=DenyList([("other", "")]))
    error = failure(namespace, "x")
    assert error is not None
    assert error.reason is Reason.INVALID_MODULE_FILE
    assert "which module it is cannot be told" in error.message
    error = refusal(lambda: namespace.insert(image, "x.ko", "", InsertFlags.NONE))
    assert "which module it is cannot be told" in error.message
    assert failure(namespace, "front") is None


def test_a_file_that_is_put_in_the_place_of_another_is_read_again(tree: ModuleTree) -> None:
    file = add_module(tree, "kernel/x.ko", own_name="fine")
    namespace, _ = namespace_on(tree, deny=LEAKY)
    assert failure(namespace, "x") is None
    namespace.remove("fine")
    file.unlink()
    add_module(tree, "kernel/x.ko", own_name="leaky")
    error = failure(namespace, "x")
    assert error is not None
    assert error.reason is Reason.MODULE_DENIED


def test_where_nothing_is_denied_no_file_is_looked_into(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_module(tree, "kernel/x.ko", own_name="leaky")
    monkeypatch.setattr("kmodd.namespace.identities.read_identity", lambda _: pytest.fail("read"))
    namespace, _ = namespace_on(tree)
    assert failure(namespace, "x") is None


def test_an_unchanged_file_is_looked_into_once(
    tree: ModuleTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_module(tree, "kernel/x.ko")
    read: list[str] = []

    def reading(file: ModuleFile) -> Identity:
        read.append(file.path)
        return read_identity(file)

    monkeypatch.setattr("kmodd.namespace.identities.read_identity", reading)
    namespace, _ = namespace_on(tree, deny=LEAKY)
    for _ in range(3):
        assert failure(namespace, "x") is None
        namespace.remove("x")
    assert len(read) == 1


@pytest.mark.parametrize("own", ["evil", "bad"])
def test_a_loader_has_no_module_under_the_name_of_one_that_it_may_have(
    tree: ModuleTree, own: str
) -> None:
    add_module(tree, "kernel/x.ko", own_name=own)
    namespace, _ = namespace_on(tree)
    call = RequestContext(caller=LOADER)
    error = failure(namespace, "x", call)
    assert error is not None
    assert error.reason is Reason.ACCESS_DENIED
    assert names(namespace) == []
    assert failure(namespace, "x") is None, "an admin may"


def test_what_a_socket_may_not_have_comes_under_no_name_for_another_module(
    tree: ModuleTree,
) -> None:
    add_module(tree, "kernel/x.ko", exports=["x_do"], own_name="bad")
    add_module(tree, "kernel/fine.ko", exports=["fine_do"], own_name="odd")
    add_module(tree, "kernel/user.ko", imports=["x_do"])
    add_module(tree, "kernel/user2.ko", imports=["fine_do"])
    namespace, _ = namespace_on(tree)
    call = RequestContext(caller=Caller("/s", Role.LOADER, allow=("user*",), deny=("bad",)))
    error = failure(namespace, "user", call)
    assert error is not None
    assert error.reason is Reason.ACCESS_DENIED
    assert names(namespace) == []
    assert failure(namespace, "user2", call) is None


def test_a_loaders_load_goes_without_a_file_that_does_not_tell_its_name(tree: ModuleTree) -> None:
    put(tree, "kernel/x.ko", module("x", this_module_size=0))
    put(tree, "kernel/user.ko", module("user", modinfo=(("softdep", "pre: x"),)))
    put(tree, "kernel/u.ko", module("user", imports=(Import("x_do"),)))
    namespace, _ = namespace_on(tree)
    call = RequestContext(caller=LOADER)
    error = failure(namespace, "x", call)
    assert error is not None
    assert "which module it is cannot be told" in error.message
    assert failure(namespace, "user", call) is None

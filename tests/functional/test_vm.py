# SPDX-License-Identifier: Apache-2.0
"""``--kernel vm``: Debian's own kernels, booted by the daemon from their packages."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kmodctl import CallError, Client
from kmodd.errors import KernelError, Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.vm import VmKernel
from kmodd.v1 import daemon_service_pb2
from tests.conformance.realkernel.loads import record_loads
from tests.conformance.realkernel.table import parse_table
from tests.realkernel.machine import QEMU_NEEDED
from tests.support.daemon import running_daemon, wait_until
from tests.support.debian import DebianTree, headers, tree_of
from tests.support.elf_writer import ModuleSpec, write_module
from tests.support.guests import EMULATED, PATIENCE, guest_kernel
from tests.support.modules import build
from tests.support.require import require, require_emulator
from tests.support.small_tree import add_module, empty_tree

FORCED = InsertFlags.IGNORE_VERMAGIC | InsertFlags.IGNORE_MODVERSIONS

UNPRIVILEGED = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""What takes all that root may do from a program, but its name."""

LESSON = "kmodctl modprobe -v ext4 && kmodctl lsmod && kmodctl dmesg && kmodctl modprobe -rv ext4"

HANGS = write_module(ModuleSpec(name="hangs", init=b"\xeb\xfe"))
"""A module whose init is a jump to itself."""

CRASHES = write_module(ModuleSpec(name="crashes", init=b"\x0f\x0b"))
"""One whose init is an instruction that there is not (ud2)."""


@pytest.fixture(scope="session")
def cache(guests: Path) -> dict[str, str]:
    """The environment of a kmodd run that finds them."""
    place = guests.parent / "cache"
    place.mkdir(exist_ok=True)
    (place / "kmodd").symlink_to(guests.parent, target_is_directory=True)
    return os.environ | {"XDG_CACHE_HOME": str(place)}


def run(
    debian: DebianTree, environment: dict[str, str], *words: str, options: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a command with a private daemon on a kernel's package, without any privilege."""
    require("qemu-system-x86_64", QEMU_NEEDED)
    programs = Path(sys.executable).parent
    return subprocess.run(
        [
            *((require(UNPRIVILEGED[0], "root gives its rights up by it"), *UNPRIVILEGED[1:])),
            *(sys.executable, "-m", "kmodd", "run", *EMULATED, *options, "--no-publish"),
            *("--root", str(debian.root), "--release", debian.release, "--", *words),
        ],
        env=environment | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_packages_kernel_loads_and_unloads_without_privileges(
    suite: str, cache: dict[str, str]
) -> None:
    debian = tree_of(suite)
    ran = run(debian, cache, "sh", "-c", LESSON)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^insmod .*/ext4\.ko(\.xz)? $", ran.stdout, re.MULTILINE)
    assert re.search(r"^jbd2 +\d+ +1 ext4$", ran.stdout, re.MULTILINE)
    assert f"] Linux version {debian.release} " in ran.stdout
    assert re.search(r"^rmmod jbd2$", ran.stdout, re.MULTILINE)
    assert ran.stderr == ""


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, cache: dict[str, str]) -> None:
    tree = empty_tree(tmp_path)
    add_module(tree, "kernel/virtio_pci.ko")
    ran = run(DebianTree(root=tree.root, release=tree.release), cache, "true")
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert ran.stderr.startswith(f"kmodd: there is no image of the kernel {tree.release}: ")


def test_the_devices_of_a_guest_are_not_those_that_udev_waits_for(
    debian_tree: DebianTree, cache: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "kmodd.toml"
    config.write_text("hotplug = true\n")
    ran = run(debian_tree, cache, "true", options=("--config", str(config)))
    assert ran.returncode == 1
    assert ran.stderr.startswith("kmodd: hotplug is for the linux kernel: ")
    assert ran.stderr.count("\n") == 1


def test_the_lesson_runs_on_the_real_kernel(
    debian_tree: DebianTree, cache: dict[str, str], tmp_path: Path
) -> None:
    require("qemu-system-x86_64", QEMU_NEEDED)
    python = (sys.executable, "-m", "kmodctl")
    subprocess.run([*python, "new", "hello"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    options = ("--once", "--kernel", "vm", "--root", str(debian_tree.root))
    ran = subprocess.run(
        [*python, "dev", *options, "--build", str(headers()), "hello"],
        cwd=tmp_path,
        env=cache,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stderr
    said = re.findall(r"\] hello: (hello|goodbye)$", ran.stdout, re.MULTILINE)
    assert said == ["hello", "goodbye"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules of tests/modules, for the kernel of the machine's suite."""
    place = tmp_path_factory.mktemp("modules") / "built"
    build(place, headers())
    return place


@pytest.fixture(scope="module")
def client(debian_tree: DebianTree, guests: Path) -> Iterator[Client]:
    """A client of a daemon on the kernel that these modules are for."""
    require("qemu-system-x86_64", QEMU_NEEDED)
    options = (*EMULATED, "--no-publish", "--state", str(guests.parent))
    with (
        running_daemon(debian_tree.root, *options, seconds=PATIENCE) as daemon,
        daemon.client() as client,
    ):
        yield client


def said(client: Client, module: str) -> list[str]:
    """What a module has printed."""
    return [each.text for each in client.read_log() if each.text.startswith(f"{module}: ")]


def loaded(client: Client) -> set[str]:
    return {module.name for module in client.list_modules()}


def test_a_module_of_the_kernels_headers_says_hello_and_shows_itself(
    client: Client, built: Path
) -> None:
    client.insert(built / "greet.ko", "times=2 loud=1 whom=all")
    assert [line for line in said(client, "greet") if "hello" in line] == ["greet: hello, all!"] * 2
    details = client.get_module("greet")
    assert details.core_size_bytes > 0
    assert {each.name for each in details.sections} >= {".text", ".init.text"}
    client.set_parameter("greet", "times", "7")
    assert {each.name: each.value for each in client.get_parameters("greet")}["times"] == "7"
    client.remove("greet")
    status = client.status()
    assert status.kernel == daemon_service_pb2.KERNEL_KIND_VM
    assert "O" in status.taints
    assert status.runs_init


def test_the_kernel_has_kmodd_load_what_its_code_asks_for(client: Client, built: Path) -> None:
    client.insert(built / "asker.ko", "names=nosuch,minix")
    assert [line for line in said(client, "asker") if "taint" not in line] == [
        "asker: nosuch: 256",
        "asker: minix: 0",
    ]
    assert "minix" in loaded(client)
    client.remove("asker")
    client.unload("minix")


def test_a_guest_that_is_killed_boots_anew(client: Client, debian_tree: DebianTree) -> None:
    client.load("loop")
    before = client.status()
    (guest,) = guests_of(before.pid)
    os.kill(guest, signal.SIGKILL)
    wait_until(lambda: client.status().boot_id != before.boot_id, seconds=PATIENCE)
    client.load("minix")
    assert "loop" not in loaded(client)
    client.unload("minix")
    after = client.status()
    assert (after.pid, after.release) == (before.pid, debian_tree.release)
    assert any("Kernel panic" in each.text for each in client.read_log())


def guests_of(pid: int) -> list[int]:
    """The processes of QEMU that a daemon has."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
        if Path(f"/proc/{child}/comm").read_text().startswith("qemu-system")
    ]


def test_code_that_crashes_ends_its_own_load_alone(client: Client, tmp_path: Path) -> None:
    before = client.status()
    file = tmp_path / "crashes.ko"
    file.write_bytes(CRASHES)
    with pytest.raises(CallError) as raised:
        client.insert(file, ignore_vermagic=True, ignore_modversions=True)
    assert raised.value.reason == "MODULE_CRASHED"
    assert client.status().boot_id == before.boot_id
    client.load("minix")
    client.unload("minix")


def test_a_panic_a_hang_and_a_guest_that_stands_still_are_told_as_panics(
    debian_tree: DebianTree, guests: Path
) -> None:
    with guest_kernel(debian_tree, guests, call_seconds=4, command_line="oops=panic") as kernel:
        for image, why in ((CRASHES, "Fatal exception"), (HANGS, "hung_task")):
            before = kernel.boot_id
            error = refusal(kernel, image)
            assert error.reason is Reason.KERNEL_PANIC
            assert why in error.message
            assert works(kernel)
            assert kernel.boot_id != before
        assert kernel.pid is not None
        os.kill(kernel.pid, signal.SIGSTOP)
        assert refusal(kernel, CRASHES).reason is Reason.KERNEL_PANIC
        assert works(kernel)


def refusal(kernel: VmKernel, image: bytes) -> KernelError:
    with pytest.raises(KernelError) as raised:
        kernel.init_module(image, "", FORCED)
    return raised.value


def works(kernel: VmKernel) -> bool:
    """Whether the next call finds a kernel that has just booted."""
    wait_until(lambda: kernel.module("virtio_console") is not None, seconds=PATIENCE)
    return kernel.module("hangs") is None


def test_a_table_of_loads_is_made_of_whichever_kernel_boots(
    debian_tree: DebianTree, guests: Path
) -> None:
    require("qemu-system-x86_64", QEMU_NEEDED)
    lines = list(record_loads(debian_tree.root, debian_tree.release, guests, seed=1, count=3))
    rows = parse_table(lines)
    assert len(rows) == 3
    for row in rows:
        assert row.clean
        assert row.loaded == (row.size is not None)
        assert row.loaded == (row.module in row.family)
        assert row.loaded or row.result.startswith("E")


def test_the_emulated_kernel_is_compared_with_the_real_one(
    debian_tree: DebianTree, cache: dict[str, str]
) -> None:
    require_emulator()
    require("qemu-system-x86_64", QEMU_NEEDED)
    names = ("minix", "jbd2", "kmodd_nothing", "sctp")
    ran = subprocess.run(
        [sys.executable, "-m", "kmodctl", "--json", "compare", "--root", debian_tree.root, *names],
        env=cache,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    found = {each["module"]: each["differences"] for each in json.loads(ran.stdout)}
    assert list(found) == list(names)
    # On a busy machine the real kernel has more to log, such as a clock that stood still.
    for name in names[:3]:
        assert [each for each in found[name] if each["what"] != "log"] == []
    # Its own code takes a reference in a way that is not modelled.
    (own,) = (each for each in found["sctp"] if each["of"] == "sctp" and each["what"] != "log")
    assert (own["what"], own["emulated"], own["vm"]) == ("references", "0", "2")
    assert ran.returncode == 1

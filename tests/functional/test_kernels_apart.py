# SPDX-License-Identifier: Apache-2.0
"""A daemon imports the kernel that it serves and no other."""

import shutil
from pathlib import Path

import pytest

import kmodd
from kmodd.errors import Reason, RequestError, TreeError
from kmodd.kernel.opening import KERNELS, KernelOptions, open_kernel
from kmodd.records import replace
from tests.support.daemon import running_daemon

PACKAGE = Path(kmodd.__file__).parent


def imported_by(kernel: str, tmp_path: Path, sources: Path) -> set[str]:
    """Start a daemon of ``sources`` on a kernel; return the modules that it has imported."""
    root = tmp_path / "root"
    tree = root / "lib/modules/6.1.0-apart"
    tree.mkdir(parents=True)
    (tree / "modules.order").touch()
    told = ("PYTHONSAFEPATH=1", "PYTHONPROFILEIMPORTTIME=1", f"PYTHONPATH={sources}")
    with running_daemon(root, "--kernel", kernel, "--no-publish", through=("env", *told)) as daemon:
        with daemon.client() as client:
            assert client.status().version == kmodd.__version__
        assert daemon.stop() == 0
        lines = daemon.log.read_text().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def test_a_daemon_on_linux_imports_nothing_of_the_emulated_kernel(tmp_path: Path) -> None:
    imported = imported_by("linux", tmp_path, PACKAGE.parent)
    assert "kmodd.kernel.linux.kernel" in imported
    assert not [name for name in imported if name.startswith("kmodd.kernel.emulated")]


def test_a_daemon_on_linux_starts_where_there_is_no_emulated_kernel(tmp_path: Path) -> None:
    copy = tmp_path / "sources"
    without = shutil.ignore_patterns("emulated", "__pycache__")
    shutil.copytree(PACKAGE, copy / "kmodd", ignore=without)
    assert not (copy / "kmodd/kernel/emulated").exists()
    assert "kmodd.kernel.linux.kernel" in imported_by("linux", tmp_path, copy)


def test_a_daemon_on_the_emulated_kernel_imports_nothing_of_the_machines(tmp_path: Path) -> None:
    imported = imported_by("emulated", tmp_path, PACKAGE.parent)
    assert "kmodd.kernel.emulated" in imported
    assert not [name for name in imported if name.startswith("kmodd.kernel.linux")]


def test_a_kernel_that_is_none_is_refused(tmp_path: Path) -> None:
    options = KernelOptions(release="6.1.0", root=tmp_path, trees=tmp_path, modules=dict)
    with pytest.raises(RequestError, match="no kernel 'minix'") as refused:
        open_kernel("minix", options)
    assert refused.value.reason is Reason.INVALID_REQUEST


def test_one_in_a_virtual_machine_is_of_a_tree_and_runs_its_modules_code(tmp_path: Path) -> None:
    options = KernelOptions(release="6.1.0", root=tmp_path, trees=tmp_path, modules=dict)
    with pytest.raises(TreeError, match=r"no modules of 6\.1\.0, and nothing to boot"):
        open_kernel("vm", options)
    with pytest.raises(RequestError, match="a real kernel runs its modules' code"):
        open_kernel("vm", replace(options, run_code=False))


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "vm"])
def test_a_kernel_has_the_traits_that_are_told_before_it_is_opened(
    name: str, tmp_path: Path
) -> None:
    options = KernelOptions(
        release="6.1.0", root=tmp_path, trees=tmp_path, modules=dict, run_code=True
    )
    kernel = open_kernel(name, options)
    assert kernel.traits is KERNELS[name].traits
    assert kernel.kind == name
    assert kernel.release == (KERNELS[name].release() or "6.1.0")
    kernel.close()

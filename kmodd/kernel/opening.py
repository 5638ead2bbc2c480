# SPDX-License-Identifier: Apache-2.0
"""The one door to the kernels: each is imported where it is asked for, and no other is."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmodd.errors import Reason, RequestError, TreeError
from kmodd.kernel.base import DAEMONS_OWN, MACHINES_OWN, Kernel, KernelTraits
from kmodd.kernel.trials import Trials
from kmodd.records import record

if TYPE_CHECKING:
    from kmodd.kernel.vm.boot import ReleaseTree
    from kmodd.kernelimage.kept import ImageKeeper

log = logging.getLogger(__name__)


@record(kw_only=True)
class KernelOptions:
    """What a kernel is opened with.

    One that is not the machine's is that of ``release``, found in the system root ``root`` whose
    trees are in ``trees``; ``modules`` tells the records of the release's modules by name,
    ``listed`` those of which little but the path may be known as yet, ``reads_behind`` whether
    ``modules`` has to read the tree first, and ``images`` keeps what its image says. It is booted
    with ``command_line``; with ``run_code`` it runs modules' own code, where the emulator's library
    is installed.

    A guest is of the kernel in ``image``, or the root's, and knows the modules that its port needs
    by ``database``, which gives None while there is none. It has ``acceleration`` ("auto", "kvm",
    "tcg"), ``memory`` MiB and ``processors``, 0 for as many as there are; it is kept in ``states``
    when it has just booted.
    """

    release: str
    root: Path
    trees: Path
    modules: Callable[[], Mapping[str, Any]]
    listed: Callable[[], Mapping[str, Any]] | None = None
    reads_behind: Callable[[], bool] = lambda: False
    images: "ImageKeeper | None" = None
    command_line: str = ""
    run_code: bool = True
    database: Callable[[], "ReleaseTree | None"] = lambda: None
    image: Path | None = None
    acceleration: str = "auto"
    memory: int = 512
    processors: int = 0
    states: Path | None = None


@record(kw_only=True)
class KernelKind:
    """A kind of kernel, and what trees must know of it, which are read before it is opened.

    ``words`` say which kernel it is.
    ``release`` gives the release that it has whatever the trees say, "" for one that is of a
    tree's. ``command_line`` gives what it is started with where somebody wants it to be its
    argument; it raises RequestError where that is not for anybody to say.
    """

    words: str
    traits: KernelTraits
    release: Callable[[], str]
    command_line: Callable[[str], str]
    open: Callable[[KernelOptions], Kernel]


def open_kernel(name: str, options: KernelOptions) -> Kernel:
    """Return the kernel of that name; what it will not let us do is logged.

    Raises RequestError for a name of none, and for an option that the kernel has no use for.
    """
    if name not in KERNELS:
        raise RequestError(Reason.INVALID_REQUEST, f"there is no kernel {name!r}")
    return KERNELS[name].open(options)


def _emulated(options: KernelOptions) -> Kernel:
    from kmodd.kernel.emulated import IsolatedKernel, VmlinuxSource

    source = VmlinuxSource(
        options.root,
        options.release,
        options.trees,
        options.modules,
        options.images,
        options.listed,
    )
    return IsolatedKernel(
        options.release,
        source,
        command_line=options.command_line,
        run_code=options.run_code,
        treeless=source.treeless() if source.reads_the_tree and options.reads_behind() else None,
    )


def open_trials(kernel: Kernel, options: KernelOptions) -> Trials:
    """Return a kernel in which modules for ``kernel``, which was opened with the same options, can
    be tried: an emulated one, whichever that is.
    """
    from kmodd.kernel.emulated import IsolatedKernel, TrialKernel, VmlinuxSource

    if isinstance(kernel, IsolatedKernel):
        source = kernel.vmlinux
    else:
        source = VmlinuxSource(
            options.root, options.release, options.trees, options.modules, options.images
        )
    return TrialKernel(
        options.release, source, command_line=kernel.command_line, run_code=options.run_code
    )


def _vm(options: KernelOptions) -> Kernel:
    _check_code_runs(options)
    from kmodd.kernel.vm import Booter, BootOptions, VmKernel

    tree = options.database()
    if tree is None:
        why = f"{options.trees} has no modules of {options.release}, and nothing to boot"
        raise TreeError(Reason.TREE_NOT_FOUND, why)
    booter = Booter(
        BootOptions(
            root=options.root,
            release=options.release,
            tree=tree,
            image=options.image,
            command_line=options.command_line,
            acceleration=options.acceleration,
            memory=options.memory,
            processors=options.processors,
            states=options.states,
        )
    )
    return VmKernel(options.release, booter.boot)


def _check_code_runs(options: KernelOptions) -> None:
    if not options.run_code:
        why = "a real kernel runs its modules' code; only an emulated one can do without"
        raise RequestError(Reason.INVALID_REQUEST, why)


def _linux(options: KernelOptions) -> Kernel:
    _check_code_runs(options)
    from kmodd.kernel.linux import LinuxKernel

    kernel = LinuxKernel()
    for limit in kernel.limits():
        log.warning("%s", limit)
    return kernel


def _running_command_line(wanted: str) -> str:
    if wanted:
        why = "the running kernel has its command line; another one is for an emulated kernel"
        raise RequestError(Reason.INVALID_REQUEST, why)
    from kmodd.kernel.linux import read_command_line

    return read_command_line()


KERNELS: Mapping[str, KernelKind] = {
    "emulated": KernelKind(
        words="the emulated kernel",
        traits=DAEMONS_OWN,
        release=lambda: "",
        command_line=lambda wanted: wanted,
        open=_emulated,
    ),
    "vm": KernelKind(
        words="the kernel in a virtual machine",
        traits=DAEMONS_OWN,
        release=lambda: "",
        command_line=lambda wanted: wanted,
        open=_vm,
    ),
    "linux": KernelKind(
        words="this machine's own kernel",
        traits=MACHINES_OWN,
        release=lambda: os.uname().release,
        command_line=_running_command_line,
        open=_linux,
    ),
}
"""The kernels by name; the first is what a daemon has that is told of none."""

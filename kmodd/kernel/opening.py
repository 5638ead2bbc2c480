# SPDX-License-Identifier: Apache-2.0
"""The one door to the kernels: each is imported where it is asked for, and no other is."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmodd.errors import Reason, RequestError
from kmodd.kernel.base import DAEMONS_OWN, MACHINES_OWN, Kernel, KernelTraits
from kmodd.kernel.trials import Trials
from kmodd.records import record

if TYPE_CHECKING:
    from kmodd.kernelimage.kept import ImageKeeper

log = logging.getLogger(__name__)


@record(kw_only=True)
class KernelOptions:
    """What a kernel is opened with.

    One that is not the machine's is that of ``release``, found in the system root ``root`` whose
    trees are in ``trees``; ``modules`` tells the records of the release's modules by name,
    ``listed`` those of which little but the path may be known as yet, and ``images`` keeps what its
    image says. It is booted with ``command_line``; with ``run_code`` it runs modules' own code,
    where the emulator's library is installed.
    """

    release: str
    root: Path
    trees: Path
    modules: Callable[[], Mapping[str, Any]]
    listed: Callable[[], Mapping[str, Any]] | None = None
    images: "ImageKeeper | None" = None
    command_line: str = ""
    run_code: bool = True


@record(kw_only=True)
class KernelKind:
    """A kind of kernel, and what trees must know of it, which are read before it is opened.

    ``release`` gives the release that it has whatever the trees say, "" for one that is of a
    tree's. ``command_line`` gives what it is started with where somebody wants it to be its
    argument; it raises RequestError where that is not for anybody to say.
    """

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


def _linux(options: KernelOptions) -> Kernel:
    if not options.run_code:
        why = "the running kernel runs its modules' code; only an emulated one can do without"
        raise RequestError(Reason.INVALID_REQUEST, why)
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
        traits=DAEMONS_OWN,
        release=lambda: "",
        command_line=lambda wanted: wanted,
        open=_emulated,
    ),
    "linux": KernelKind(
        traits=MACHINES_OWN,
        release=lambda: os.uname().release,
        command_line=_running_command_line,
        open=_linux,
    ),
}
"""The kernels by name; the first is what a daemon has that is told of none."""

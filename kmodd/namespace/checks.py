# SPDX-License-Identifier: Apache-2.0
"""Modules that are tried: which file is meant, what it needs, and a kernel beside the daemon's."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing

from kmodd.access.trusted_files import check_open_file
from kmodd.checking import RUNS_MAX, Progress, Report, check
from kmodd.database import ModuleRecord
from kmodd.errors import KernelError, NotFoundError, Reason, RequestError, StateError
from kmodd.kernel.trials import Trials
from kmodd.modulefile import ModuleFile
from kmodd.names import check_query, module_name, module_name_of_path
from kmodd.namespace.outdated import OutdatedFileError, open_planned
from kmodd.namespace.uploaded_module import plain_image, with_uploaded
from kmodd.plan.requests import check_parameters
from kmodd.records import record as values
from kmodd.trees import Generation, Trees

RUNS_LIMIT = 20_000
"""Runs that a caller may ask for."""

PLUGGED = ("platform:", "pci:")
"""How the modaliases of devices begin that an emulated kernel can have."""


@values(kw_only=True)
class CheckRequest:
    """What to check: the module ``name`` of the tree, or where that is empty the module file
    ``image``, which the client calls ``file_name``.

    With ``pairs`` each two calls fail, too; ``runs_max`` bounds the runs, 0 for the usual bound.
    """

    name: str = ""
    image: bytes = b""
    file_name: str = ""
    parameters: str = ""
    pairs: bool = False
    runs_max: int = 0


class Checks:
    """Checks modules, each in a kernel of its own."""

    def __init__(self, trees: Trees, open_trials: Callable[[], Trials]) -> None:
        """``open_trials`` opens a kernel in which modules of the trees' release are tried."""
        self._trees = trees
        self._open_trials = open_trials

    def run(
        self, request: CheckRequest, opened: Callable[[Trials], None]
    ) -> Iterator[Progress | Report]:
        """Try a module; yield how far that is, and at last what was found.

        ``opened`` is handed the kernel, which may be closed to end the check. Raises
        NotFoundError, ModuleFileError, RequestError, TreeError, and KernelError where the kernel
        does not load the module, or runs no code.
        """
        check_parameters(request.parameters)
        if not 0 <= request.runs_max <= RUNS_LIMIT:
            why = f"a check has at most {RUNS_LIMIT} runs"
            raise RequestError(Reason.INVALID_REQUEST, why)
        name, images = self._images(request)
        with closing(self._open_trials()) as trials:
            opened(trials)
            if trials.why_not_run:
                why = f"no module can be tried: {trials.why_not_run}"
                raise KernelError(Reason.KERNEL_REFUSED, why, errno=errno.EOPNOTSUPP)
            yield from check(
                trials,
                name,
                images,
                request.parameters,
                devices=_devices_of(images[-1]),
                pairs=request.pairs,
                runs_max=request.runs_max or RUNS_MAX,
            )

    def _images(self, request: CheckRequest) -> tuple[str, list[bytes]]:
        """Return the module's name, and the files to load, the module's last."""
        generation = self._trees.current(treeless=True)
        database = generation.database
        if request.name:
            name = module_name(check_query(request.name))
            if name not in database.modules:
                why = f"module {request.name} not found in {generation.directory}"
                raise NotFoundError(Reason.MODULE_NOT_FOUND, why, module=request.name)
            images = [_read(each, generation) for each in database.dependencies(name)]
            return name, [*images, _read(database.modules[name], generation)]
        image = plain_image(request.image, request.file_name)
        name = module_name_of_path(request.file_name)
        with_it = with_uploaded(database, request.file_name, image)
        return name, [*(_read(each, generation) for each in with_it.dependencies(name)), image]


def _read(record: ModuleRecord, generation: Generation) -> bytes:
    """Return the plain image of a module of the tree."""
    path = generation.directory / record.path
    try:
        fd = open_planned(path, record.stamp)
    except OutdatedFileError as error:
        why = f"{path} is not what it was when the tree was read"
        raise StateError(Reason.MODULE_CHANGED, why, module=record.name) from error
    with open(fd, "rb") as file:
        if generation.trusted_only:
            check_open_file(fd, path)
        image = file.read()
    return plain_image(image, os.fspath(path))


def _devices_of(image: bytes) -> tuple[str, ...]:
    """Return the modaliases that a module names of devices that can be plugged in."""
    with ModuleFile.parse(image) as module:
        aliases = module.modinfo_all("alias")
    return tuple(dict.fromkeys(each for each in aliases if each.startswith(PLUGGED)))

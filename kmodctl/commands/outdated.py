# SPDX-License-Identifier: Apache-2.0
"""outdated: list the loaded modules whose files are others by now

A line for each module that is loaded from another build than the one in its file, as after an
upgrade, and for each whose file is not in the tree. 'kmodctl reload' has the first come from their
files. What cannot be told is a warning. The exit status is 0 whether there is any or not.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodctl.api import Api
    from kmodd.messages.module_service import ModuleBuild, OutdatedModule

SHOWN = 12
"""Digits of a build id that are shown to people: they tell builds of one module apart."""


def configure(_parser: Parser) -> None:
    """There is nothing to choose."""


def run(_options: CommandOptions, api: "Api", output: Output) -> int:
    """Print the modules that their files are not."""
    from kmodd.messages import module_service as pb

    modules = api.modules.list_outdated(pb.ListOutdatedRequest()).modules
    if output.json:
        output.messages(modules)
        return 0
    for module in modules:
        if module.staleness == pb.STALENESS_CHANGED:
            output.data(f"{module.module} {_builds(module)} {module.path}")
        elif module.staleness == pb.STALENESS_GONE:
            output.data(f"{module.module} has no file in the tree")
        elif module.staleness == pb.STALENESS_UNREADABLE:
            output.warning(": ".join(filter(None, (module.module, module.path, module.why))))
        else:
            output.warning(f"{module.module}: nothing tells whether it is {module.path}")
    return 0


def _builds(module: "OutdatedModule") -> str:
    """Return which build is loaded and which is in the file, as far as both tell in one way."""
    from kmodd.messages.module_service import ModuleBuild

    loaded, file = module.loaded or ModuleBuild(), module.file or ModuleBuild()
    if loaded.build_id and file.build_id:
        return f"{_short(loaded)} -> {_short(file)}"
    return f"{loaded.source_version or 'no id'} -> {file.source_version or 'no id'}"


def _short(build: "ModuleBuild") -> str:
    return build.build_id.hex()[:SHOWN]

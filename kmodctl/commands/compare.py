# SPDX-License-Identifier: Apache-2.0
"""compare: load modules on the emulated kernel and on the real one, and tell where they differ

Each module of the tree is loaded, with what it needs, and unloaded: on an emulated kernel, and
on the tree's own in a virtual machine, which takes QEMU and no privileges. Told is where the two
differ: in the result, in what the kernel logged, in the modules that came, their references and
holders, and their sizes. Both kernels go with the command; no daemon is asked. The exit status is 1
where something differs.
"""

from kmodctl.output import Output
from kmodctl.parser import CommandOptions, Parser
from kmodctl.styles import BAD, GOOD, Styled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kmodctl.comparing import Difference

KERNELS = ("emulated", "vm")
"""What is compared: kinds of kernels, as ``kmodd run`` has them."""


def configure(parser: Parser) -> None:
    """Add the arguments of compare."""
    add = parser.add_argument
    add(
        "--root",
        metavar="DIR",
        default="/",
        help="a system root with the modules and the kernel's image (default: /)",
    )
    add(
        "--release",
        metavar="VERSION",
        default="",
        help="the kernel's release (default: the newest in DIR)",
    )
    add("modules", metavar="MODULE", nargs="*", help="the name of a module of the tree")


def check(options: CommandOptions, output: Output) -> bool:
    """Ask for a module."""
    if not options.modules:
        output.error("missing a module's name.")
        return False
    return True


def is_private(_options: CommandOptions) -> bool:
    """Tell that both kernels are this command's."""
    return True


def run_private(options: CommandOptions, output: Output) -> int:
    """Load everything on both, a module at a time, and tell the differences."""
    from contextlib import ExitStack
    from functools import partial

    from kmodctl.api import Api
    from kmodctl.comparing import differences, observe
    from kmodctl.direct import DirectChannel
    from kmodctl.private_kernel import PrivateKernel

    found: dict[str, list[Difference]] = {}
    with ExitStack() as stack:
        kernels = [
            stack.enter_context(PrivateKernel(kind, options.release, options.root))
            for kind in KERNELS
        ]
        apis = [stack.enter_context(Api(partial(DirectChannel, each.socket))) for each in kernels]
        for name in options.modules:
            emulated, real = (observe(api, name) for api in apis)
            found[name] = differences(emulated, real)
            if not output.json:
                for line in _lines(name, found[name]):
                    output.data(line)
    if output.json:
        output.document(
            [
                {"module": name, "differences": [each.shown() for each in those]}
                for name, those in found.items()
            ]
        )
    return int(any(found.values()))


def _lines(name: str, found: "list[Difference]") -> "Iterator[Styled]":
    if not found:
        yield Styled(f"{name}: the same", GOOD)
    for each in found:
        of = f" of {each.module}" if each.module not in ("", name) else ""
        yield Styled(f"{name}: {each.what}{of}", BAD)
        for kind, value in zip(KERNELS, each.values, strict=True):
            yield Styled(f"   {kind}: {value}", "")

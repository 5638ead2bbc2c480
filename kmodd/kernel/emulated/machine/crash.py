# SPDX-License-Identifier: Apache-2.0
"""What the kernel says when code goes wrong, line by line (mm/fault.c, dumpstack.c)."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kmodd.kernel.emulated.hardware.events import Faulted
from kmodd.kernel.taints import LETTERS

FRAMES_TOLD, WHY_MAX = 12, 400

OWN_BUG = "kmodd: a bug of the emulated kernel, not of the module, in"
"""What the log says of a mistake in this program that a module's call has come upon."""

_VECTORS = {
    0: "divide error",
    1: "debug",
    3: "int3",
    4: "overflow",
    5: "bounds",
    6: "invalid opcode",
    7: "device not available",
    12: "stack segment",
    13: "general protection fault",
    16: "fpu exception",
    17: "alignment check",
}
_SPLIT = ("RSP", "EFLAGS")
_CANONICAL = 1 << 47
_NO_AVX = "an AVX instruction, which the emulated processor does not have"


class Crash(Exception):  # noqa: N818  # the module's error, not this program's
    """Code cannot go on. ``lines`` are what the log has to say, ``why`` the first of them.

    ``places`` are where that was, the instruction first, then who had called it. One that is
    ``stuck`` waits, or runs, for ever; one that is our ``own`` is no mistake of the module's.
    """

    def __init__(
        self,
        why: str,
        lines: list[str],
        scene: "Scene",
        *,
        taint: str = "D",
        stuck: bool = False,
        own: bool = False,
    ) -> None:
        super().__init__(why)
        self.why = why
        self.lines = [*lines, *_scene(scene)]
        self.places = (scene.at, *scene.callers)
        self.taint = taint
        self.stuck = stuck
        self.own = own


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a crash happened.

    ``name`` names an address as ``%pB`` does. ``code`` are the bytes around the instruction.
    """

    at: int
    name: Callable[[int], str]
    registers: Mapping[str, int]
    code: str
    callers: tuple[int, ...]
    modules: str
    release: str
    taints: str


def page_fault(fault: Faulted, scene: Scene) -> Crash:
    """Return the crash for an access to an address that is not there, or not for that."""
    address, access = fault.address, fault.access
    if not -_CANONICAL <= _signed(address) < _CANONICAL:
        why = (
            "general protection fault, probably for non-canonical address "
            f"{address:#x}: 0000 [#1] PREEMPT SMP NOPTI"
        )
        return Crash(why, [why], scene)
    verb = {"read": "read access", "write": "write access", "execute": "instruction fetch"}[access]
    if address < 4096:
        why = f"BUG: kernel NULL pointer dereference, address: {address:016x}"
    else:
        why = f"BUG: unable to handle page fault for address: {address:016x}"
    code = fault.is_protection | (access == "write") << 1 | (access == "execute") << 4
    reason = "permissions violation" if fault.is_protection else "not-present page"
    return Crash(
        why,
        [
            why,
            f"#PF: supervisor {verb} in kernel mode",
            f"#PF: error_code({code:#06x}) - {reason}",
            f"Oops: {code:04x} [#1] PREEMPT SMP NOPTI",
        ],
        scene,
    )


def exception(vector: int, scene: Scene, *, is_avx: bool = False) -> Crash:
    """Return the crash for any other exception; ``is_avx`` tells that it is of no real processor's,
    but of an instruction that the emulated one does not have.
    """
    name = _VECTORS.get(vector, f"exception {vector}")
    why = f"{name}: 0000 [#1] PREEMPT SMP NOPTI"
    if not is_avx:
        return Crash(why, [why], scene)
    return Crash(f"{why} ({_NO_AVX})", [why, f"kmodd: {_NO_AVX}"], scene, own=True)


def bug(where: str, scene: Scene) -> Crash:
    """Return the crash for a BUG() in the code; ``where`` is its file and line."""
    why = f"kernel BUG at {where}!"
    lines = ["------------[ cut here ]------------", why]
    return Crash(why, [*lines, "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI"], scene)


def soft_lockup(seconds: int, scene: Scene) -> Crash:
    """Return the crash for code that does not come to an end."""
    why = f"watchdog: BUG: soft lockup - CPU#0 stuck for {seconds}s! [insmod:1]"
    return Crash(why, [why], scene, taint="L", stuck=True)


def hung_task(seconds: int, scene: Scene) -> Crash:
    """Return the crash for code that waits for what never comes."""
    why = f"INFO: task insmod:1 blocked for more than {seconds} seconds."
    return Crash(why, [why], scene, taint="", stuck=True)


def out_of_place(why: str, scene: Scene) -> Crash:
    """Return the crash for a call that makes no sense to the emulated kernel."""
    return Crash(why, [why], scene)


def own_bug(error: Exception, name: str, scene: Scene) -> Crash:
    """Return the crash for a mistake of the emulated kernel itself in its function ``name``."""
    why = f"{OWN_BUG} {name}: {type(error).__name__}: {error}"[:WHY_MAX]
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_TOLD:]
    places = [f"kmodd:  {Path(each.filename).name}:{each.lineno} {each.name}" for each in frames]
    return Crash(why, [why, *places], scene, own=True)


def warning(where: str, scene: Scene) -> list[str]:
    """Return the lines for a WARN() in the code, after which it goes on."""
    at = scene.name(scene.at)
    return [
        f"WARNING: CPU: 0 PID: 1 at {where} {at}",
        *_scene(scene),
    ]


def _scene(scene: Scene) -> Iterator[str]:
    if scene.modules:
        yield f"Modules linked in: {scene.modules}"
    marks = "".join(_mark(letter, scene.taints) for letter in LETTERS)
    tainted = f"Tainted: {marks.rstrip()}" if scene.taints else "Not tainted"
    yield f"CPU: 0 PID: 1 Comm: insmod {tainted} {scene.release} #1 emulated"
    yield f"RIP: 0010:{scene.name(scene.at)}"
    yield f"Code: {scene.code}"
    registers = scene.registers
    yield f"RSP: 0018:{registers['RSP']:016x} EFLAGS: {registers['EFLAGS']:08x}"
    names = [name for name in registers if name not in _SPLIT]
    for at in range(0, len(names), 3):
        yield " ".join(f"{name}: {registers[name]:016x}" for name in names[at : at + 3])
    yield "Call Trace:"
    yield " <TASK>"
    for caller in scene.callers:
        yield f" {scene.name(caller)}"
    yield " </TASK>"
    yield "---[ end trace 0000000000000000 ]---"


def _mark(letter: str, taints: str) -> str:
    """Return how print_tainted() shows one taint; a kernel that is not P is G."""
    if letter in taints:
        return letter
    return "G" if letter == "P" else " "


def _signed(address: int) -> int:
    return address - (1 << 64) if address >> 63 else address

# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance.realkernel.record``: let a real kernel say what it does.

With ``--kernel vm --root ROOT [--release RELEASE] [--seed N --count M]`` the kernel of ROOT loads
its modules in a virtual machine of kmodd's, all or those that are drawn, and a table of that (of
the form in README.md) is written to stdout, or to ``--output``. With IMAGE it runs the sessions:

Boots the kernel IMAGE (vmlinuz of x86-64) under QEMU once for each session of crafted.py, in
software emulation, with guest.c as its only process, and writes crafted.json. Needs
qemu-system-x86_64, gcc, cpio and a static libc; takes some ten seconds a session.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.conformance.realkernel.crafted import SESSIONS, Insert, Session
from tests.conformance.realkernel.loads import record_loads

RECORDING = Path(__file__).with_name("crafted.json")
GUEST = Path(__file__).with_name("guest.c")
BOOT_SECONDS = 300

_O_TRUNC = 0o1000
_QEMU = (
    *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024"),
    *("-nographic", "-no-reboot"),
)
_QUIET = "console=ttyS0 quiet loglevel=0 panic=-1"


def main() -> int:
    """Record all sessions, or those named."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.realkernel.record")
    parser.add_argument(
        "image", type=Path, metavar="IMAGE", nargs="?", help="the kernel to boot (vmlinuz)"
    )
    parser.add_argument("--kernel", choices=["vm"], help="record loads of modules, in a guest")
    parser.add_argument("--root", type=Path, help="a root with the release's modules and image")
    parser.add_argument("--release", default="", help="the release (default: the newest in ROOT)")
    parser.add_argument("--seed", type=int, default=1, help="which modules are drawn")
    parser.add_argument("--count", type=int, default=0, help="how many are drawn (default: all)")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if (options.image is None) == (options.kernel is None) or (options.kernel and not options.root):
        parser.error("it takes an IMAGE, or --kernel vm and a --root")
    if options.kernel:
        return _record_loads(options)
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        for session in SESSIONS:
            console = run(session, options.image, Path(directory))
            recorded[session.name] = list(answers(session, console))
            print(f"{session.name}: {len(recorded[session.name])} calls", file=sys.stderr)
    output = options.output or RECORDING
    output.write_text(json.dumps(recorded, indent=1, ensure_ascii=True) + "\n")
    return 0


def _record_loads(options: argparse.Namespace) -> int:
    """Write the table, row by row."""
    with tempfile.TemporaryDirectory() as states, ExitStack() as stack:
        output = sys.stdout
        if options.output:
            output = stack.enter_context(options.output.open("w", errors="surrogateescape"))
        lines = record_loads(
            options.root, options.release, Path(states), seed=options.seed, count=options.count
        )
        for line in lines:
            print(line, file=output, flush=True)
    return 0


def run(session: Session, image: Path, work: Path) -> str:
    """Boot the kernel, let the guest make the session's calls, and return what it printed."""
    initramfs = work / f"{session.name}.cpio"
    _write_initramfs(session, work / session.name, initramfs)
    booted = subprocess.run(
        [
            *(*_QEMU, "-kernel", str(image), "-initrd", str(initramfs)),
            *("-append", f"{_QUIET} {session.command_line}"),
        ],
        capture_output=True,
        timeout=BOOT_SECONDS,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return booted.stdout.decode("utf-8", "replace")


def answers(session: Session, console: str) -> Iterator[dict[str, Any]]:
    """Yield the answer to each call: title, errno, log, /proc/modules, files of /sys/module."""
    answer: dict[str, Any] | None = None
    in_dump = False
    for line in console.replace("\r", "").split("\n"):
        word, _, rest = line.partition(" ")
        if word == "@call":
            if answer is not None:
                yield answer
            number, errno = map(int, rest.split())
            title = session.calls[number].title
            answer = {"title": title, "errno": errno, "log": [], "modules": [], "sysfs": {}}
        elif answer is not None and word == "@log":
            priority, _, text = rest.partition(" ")
            # A line feed within a record; and nobody wants a dump of the stack.
            in_dump = (in_dump and text != " </TASK>") or text.startswith("CPU: ")
            if not in_dump and text != " </TASK>":
                answer["log"] += [[int(priority), part] for part in text.split("\\x0a")]
        elif answer is not None and word == "@module":
            # The address is another one on every boot.
            answer["modules"].append(re.sub(r" 0x[0-9a-f]+", "", rest))
        elif answer is not None and word == "@sysfs":
            file, _, content = rest.partition(" ")
            if content:
                answer["sysfs"][file] = content
    if answer is not None:
        yield answer


def _write_initramfs(session: Session, root: Path, archive: Path) -> None:
    root.mkdir()
    compile_guest = ["gcc", "-static", "-O1", "-Wall", "-o", str(root / "init"), str(GUEST)]
    subprocess.run(compile_guest, check=True)
    for number, call in enumerate(session.calls):
        files: dict[str, bytes]
        if isinstance(call, Insert):
            files = {"image": call.image, "parameters": call.parameters.encode()}
            files["flags"] = str(int(call.flags)).encode()
        else:
            flags = str(_O_TRUNC if call.force else 0).encode()
            files = {"name": call.name.encode(), "flags": flags}
        directory = root / "calls" / str(number)
        directory.mkdir(parents=True)
        for name, content in files.items():
            (directory / name).write_bytes(content)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*"))).encode()
    with archive.open("wb") as output:
        pack = ["cpio", "--quiet", "-o", "-H", "newc", "-D", str(root)]
        subprocess.run(pack, input=names, stdout=output, check=True)


if __name__ == "__main__":
    sys.exit(main())

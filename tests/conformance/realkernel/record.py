# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance.realkernel.record IMAGE``: let a real kernel run the sessions.

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
from pathlib import Path
from typing import Any

from tests.conformance.realkernel.crafted import SESSIONS, Insert, Session

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
    parser.add_argument("image", type=Path, metavar="IMAGE", help="the kernel to boot (vmlinuz)")
    parser.add_argument("--output", type=Path, default=RECORDING)
    options = parser.parse_args()
    recorded: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        for session in SESSIONS:
            console = run(session, options.image, Path(directory))
            recorded[session.name] = list(answers(session, console))
            print(f"{session.name}: {len(recorded[session.name])} calls", file=sys.stderr)
    options.output.write_text(json.dumps(recorded, indent=1, ensure_ascii=True) + "\n")
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

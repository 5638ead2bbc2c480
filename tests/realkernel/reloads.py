# SPDX-License-Identifier: Apache-2.0
"""A chain of five modules that is upgraded: its files, and what is asked of kernels about it.

As the scenarios, it runs on the real kernel and on the emulated one.
"""

from collections.abc import Iterable
from pathlib import Path

from kmodd.v1 import errors_pb2, module_service_pb2
from tests.realkernel.scenarios import Record, Session
from tests.realkernel.wished import install
from tests.support.elf_patch import with_another_build
from tests.support.modules import build_folder

SOURCES = Path(__file__).parent / "chain"
LINKS = tuple(f"link{number}" for number in range(1, 6))
"""Each needs the one before it."""


def build_chain(output: Path, headers: Path) -> None:
    """Build the modules into ``output``; skips without a compiler."""
    build_folder(SOURCES, output, headers, LINKS)


def lay_out_chain(built: Path, extra: Path, uploads: Path) -> None:
    """Put the modules into ``extra`` of a tree, and what they are upgraded to into ``uploads``.

    ``new`` has other builds of them, ``bad`` one of link4 for another kernel.
    """
    for link in LINKS:
        image = (built / f"{link}.ko").read_bytes()
        (extra / f"{link}.ko").write_bytes(image)
        _upload(uploads / "old", link, image)
        _upload(uploads / "new", link, with_another_build(image))
    image = with_another_build((built / "link4.ko").read_bytes())
    _upload(uploads / "bad", "link4", image.replace(b" SMP preempt", b" SMP PREEMPT"))


def _upload(directory: Path, link: str, image: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{link}.ko").write_bytes(image)


def reloads(session: Session) -> Record:
    """Upgrade the chain while the first is held, the second in use, and the fourth refuses: what
    DKMS would put into updates hides the file of the build that is loaded.
    """
    client = session.client
    status = client.status()
    tree = Path(status.root, "lib/modules", status.release)
    extra, updates, uploads = tree / "extra", tree / "updates", session.uploads / "chain"

    def put(kind: str, links: Iterable[str] = LINKS, place: Path = extra) -> None:
        for link in links:
            install(place, f"{link}.ko", (uploads / kind / f"{link}.ko").read_bytes())

    def there() -> Record:
        new = {each.module for each in client.list_outdated()}
        return {
            link: ["old" if link in new else "current", *facts[:2]]
            for link, facts in sorted(session.listed(*LINKS).items())
        }

    record: Record = {"load": session.load("link5")}
    client.set_parameter("link3", "level", "7")
    client.set_parameter("link2", "busy", "1")
    updates.mkdir(exist_ok=True)
    put("new", ("link1", "link2", "link3", "link5"))
    put("bad", ("link4",), updates)
    record["upgraded"] = there()
    with client.hold("link1", note="backup"):
        record["planned"] = _told(client.reload(outdated=True, dry_run=True))
        record["untouched"] = there()
        record["done"] = _told(client.reload(outdated=True))
        record["after"] = there()
        client.set_parameter("link2", "busy", "0")
        record["forced"] = _told(client.reload("link1", force_holders=True))
        record["held"] = {
            module.name: module.hold_count
            for module in client.list_modules()
            if module.name in LINKS
        }
    record["all"] = there()
    record["level"] = {
        each.name: each.value for each in client.get_parameters("link3") if each.name == "level"
    }
    put("bad", ("link4",))
    record["lost"] = _told(client.reload("link4"))
    record["left"] = there()
    (updates / "link4.ko").unlink()
    put("old")
    record["again"] = session.load("link5")
    record["unload"] = session.unload("link5")
    record["last"] = session.listed(*LINKS)
    return record


def _told(answer: module_service_pb2.ReloadModulesResponse) -> Record:
    """Return what became of each module, and the steps that were done or planned."""
    kinds = {errors_pb2.STEP_KIND_INSERT: "+", errors_pb2.STEP_KIND_REMOVE: "-"}
    fates = module_service_pb2.ReloadFate
    return {
        "fates": {
            each.module: fates.Name(each.fate).removeprefix("RELOAD_FATE_")
            for each in answer.modules
        },
        "failures": {
            each.module: [
                errors_pb2.ErrorReason.Name(each.failure.reason).removeprefix("ERROR_REASON_"),
                each.failure.detail,
                each.note,
            ]
            for each in answer.modules
            if each.HasField("failure")
        },
        "given": {
            each.module: [f"{given.name}={given.value}" for given in each.parameters]
            for each in answer.modules
            if each.parameters
        },
        "lefts": sorted({name for each in answer.modules for name in each.parameters_left}),
        "steps": [f"{kinds[step.kind]}{step.module}" for step in answer.steps],
    }

# SPDX-License-Identifier: Apache-2.0
"""What came of Debian's modules that were drawn: by kmodd, by modprobe, on the emulated kernel."""

from collections.abc import Collection, Iterator

from tests.realkernel.scenarios import Record


def differences_to_modprobe(found: Record) -> Iterator[str]:
    """Yield what kmodd and modprobe did not do alike in the same boot.

    ``found`` has for each module the record of either. What a load leaves that cannot be unloaded
    (``stuck``) is there already when it is modprobe's turn.
    """
    for name, (ours, theirs) in found.items():
        for action in ("load", "unload"):
            if bool(ours[action]) != bool(theirs[action]):
                yield f"{name}: {action}: {ours[action]} by kmodd, {theirs[action]} by modprobe"
        if not ours["stuck"]:
            for listing in ("added", "left"):
                if ours[listing] != theirs[listing]:
                    yield f"{name}: {listing}: {ours[listing]}, {theirs[listing]} by modprobe"


def differences_in_a_guest(found: Record, virtual: Record) -> Iterator[str]:
    """Yield what modprobe on a machine and kmodd on the same kernel in its own guest did not do
    alike.
    """
    pairs = {name: [record, found[name][1]] for name, record in virtual.items()}
    return differences_to_modprobe(pairs)


def differences_to_emulation(
    found: Record, emulated: Record, boot: Collection[str]
) -> Iterator[str]:
    """Yield whose loads the emulated kernel lists otherwise than the real one.

    The real one had the modules ``boot`` before.
    """
    for name, emulation in emulated.items():
        ours = found[name][0]
        expected = [words for words in _uncounted(emulation) if words[0] not in boot]
        if _is_comparable(ours, emulation) and _uncounted(ours) != expected:
            yield f"{name}: {ours['added']}, {emulation['added']} by the emulated kernel"


def summary(found: Record, emulated: Record) -> str:
    """Say in one line how many modules there were, and what became of them."""
    records = [ours for ours, _ in found.values()]
    loaded = sum(not record["load"] for record in records)
    stuck = sum(bool(record["stuck"]) for record in records)
    compared = sum(_is_comparable(found[name][0], record) for name, record in emulated.items())
    return (
        f"{len(records)} modules: {loaded} loaded, {len(records) - loaded} refused by their own "
        f"init, {stuck} left something that cannot be unloaded; {compared} compared with the "
        "emulated kernel"
    )


def _is_comparable(ours: Record, emulation: Record) -> bool:
    """Whether no module's own code, which finds no hardware, has decided what is listed."""
    return not (ours["load"] or ours["stuck"] or emulation["stuck"])


def _uncounted(record: Record) -> list[list[str]]:
    """What a load added, but for the counts: a module's own init may take references."""
    return [[name, size, users] for name, size, _count, users in map(str.split, record["added"])]

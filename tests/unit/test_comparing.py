# SPDX-License-Identifier: Apache-2.0
"""In what two kernels differ about a module."""

from kmodctl.comparing import ComparedLoad, differences
from kmodd.messages.module_service import Module


def seen(
    *modules: tuple[str, int, int, list[str]], result: str = "loads", log: tuple[str, ...] = ()
) -> ComparedLoad:
    came = {
        name: Module(name=name, size_bytes=size, reference_count=count, holders=holders)
        for name, size, count, holders in modules
    }
    return ComparedLoad(result, log, came)


def told(emulated: ComparedLoad, real: ComparedLoad) -> list[tuple[str, str, str, str]]:
    return [(each.what, each.module, *each.values) for each in differences(emulated, real)]


def test_what_is_the_same_is_not_told() -> None:
    one = seen(("a", 16384, 0, []), ("b", 8192, 1, ["a"]), log=("a: here",))
    assert told(one, one) == []


def test_each_difference_is_told_with_what_either_has() -> None:
    emulated = seen(("a", 16384, 0, []), ("b", 8192, 1, ["a"]), ("c", 1, 0, []))
    real = seen(("a", 20480, 0, []), ("b", 8192, 2, ["a", "d"]), log=("a: here",))
    assert told(emulated, real) == [
        ("log", "", "nothing", "a: here"),
        ("size", "a", "16384", "20480"),
        ("references", "b", "1 a", "2 a,d"),
        ("presence", "c", "loaded", "not loaded"),
    ]
    refused = seen(result="No such device")
    assert told(seen(), refused) == [("result", "", "loads", "No such device")]
    assert differences(seen(), refused)[0].shown() == {
        "what": "result",
        "of": "",
        "emulated": "loads",
        "vm": "No such device",
    }

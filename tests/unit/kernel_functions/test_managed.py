# SPDX-License-Identifier: Apache-2.0
"""What a device holds until it loses its driver (drivers/base/devres.c)."""

import errno

import pytest

from tests.support.kernel_calls import (
    NULL_DEREFERENCE,
    callback,
    held,
    oops,
    put_structure,
    put_text,
    run,
    unload,
)
from tests.support.machine import ROOM, new_machine

DEVICE = 16
"""Where a ``struct platform_device`` has its device."""

TOO_MUCH = 1 << 40


class Bound:
    """A platform device that has a driver; ``device`` is its ``struct device``."""

    def __init__(self) -> None:
        self.machine = machine = new_machine()
        probe = callback(machine)
        fields = {0: probe.address, 48: put_text(machine, "leds")}
        self.driver = put_structure(machine, 240, fields)
        run(machine, "__platform_driver_register", self.driver, 0)
        self.address = run(machine, "platform_device_alloc", put_text(machine, "leds"), -1)
        run(machine, "platform_device_add", self.address)
        self.device = self.address + DEVICE

    def run(self, name: str, *arguments: int) -> int:
        return run(self.machine, name, *arguments)

    def unbind(self) -> None:
        self.run("platform_driver_unregister", self.driver)

    def memory_held(self) -> list[str]:
        return [name for kind, name in held(self.machine) if kind == "memory"]


@pytest.fixture
def bound() -> Bound:
    return Bound()


def test_memory_is_zeros_and_goes_with_the_driver(bound: Bound) -> None:
    address = bound.run("devm_kmalloc", bound.device, 100, 0)
    assert bound.machine.heap.size(address) == 100
    assert bound.machine.memory.read(address, 100) == bytes(100)
    assert bound.memory_held() == ["100 bytes of memory"]
    bound.unbind()
    assert bound.machine.heap.size(address) is None
    assert bound.memory_held() == []


@pytest.mark.parametrize(("size", "result"), [(0, 16), (TOO_MUCH, 0)])
def test_no_memory_is_as_for_kmalloc(bound: Bound, size: int, result: int) -> None:
    assert bound.run("devm_kmalloc", bound.device, size, 0) == result
    assert bound.memory_held() == []
    bound.run("devm_kfree", bound.device, result)
    bound.unbind()


def test_text_is_formatted_and_copied_into_memory_of_the_devices(bound: Bound) -> None:
    machine, device = bound.machine, bound.device
    word = put_text(machine, "word")
    texts = [
        bound.run("devm_kasprintf", device, 0, put_text(machine, "%s-%d%d%d"), word, 1, 2, 3),
        bound.run("devm_kstrdup", device, word, 0),
        bound.run("devm_kmemdup", device, word, 5, 0),
    ]
    machine.memory.fill(word, 4, 0x41)
    assert [machine.memory.text(each) for each in texts] == ["word-123", "word", "word"]
    assert [machine.heap.size(each) for each in texts] == [9, 5, 5]
    bound.unbind()
    assert bound.memory_held() == []


def test_nothing_and_what_is_nowhere_are_not_copied(bound: Bound) -> None:
    machine, device = bound.machine, bound.device
    assert bound.run("devm_kstrdup", device, 0, 0) == 0
    assert bound.run("devm_kmemdup", device, put_text(machine, "x"), 0, 0) == 16
    assert bound.run("devm_kmemdup", device, 64, TOO_MUCH, 0) == 0
    assert bound.memory_held() == []
    assert oops(machine, "devm_kmemdup", device, 64, 8, 0).startswith(NULL_DEREFERENCE)
    assert oops(machine, "devm_kstrdup", device, 64, 0).startswith(NULL_DEREFERENCE)


def test_memory_can_be_freed_before(bound: Bound) -> None:
    address, other = (bound.run("devm_kmalloc", bound.device, 100, 0) for _ in range(2))
    bound.run("devm_kfree", bound.device, address)
    bound.run("devm_kfree", bound.device, address)
    bound.run("devm_kfree", bound.device + 8, other)
    assert bound.memory_held() == ["100 bytes of memory"]
    taken = bound.run("__kmalloc", 100, 0)
    bound.unbind()
    assert bound.machine.heap.size(taken) == 100
    assert bound.machine.heap.size(other) is None


def test_a_region_is_as_it_was_asked_for(bound: Bound) -> None:
    name = put_text(bound.machine, "registers")
    region = bound.run("__devm_request_region", bound.device, 0, 0x1000, 0x80, name)
    words = [bound.machine.memory.number(region + at) for at in (0, 8, 16)]
    assert words == [0x1000, 0x107F, name]
    bound.unbind()
    assert bound.machine.heap.size(region) is None


def test_actions_are_taken_the_last_first(bound: Bound) -> None:
    order = bound.machine.heap.allocate(64)
    # mov (%rdi), %rax; incq (%rax); mov (%rax), %rcx; mov %rcx, 8(%rdi); ret
    code = callback(bound.machine)
    bound.machine.memory.write(code.address, bytes.fromhex("488b0748ff00488b0848894f08c3"))
    data = [put_structure(bound.machine, 16, {0: order}) for _ in range(3)]
    names = ("devm_add_action", "__devm_add_action", "devm_add_action")
    for name, each in zip(names, data, strict=True):
        assert bound.run(name, bound.device, code.address, each, 0) == 0
    bound.unbind()
    assert [bound.machine.memory.number(each + 8) for each in data] == [3, 2, 1]


def test_a_probe_that_fails_gives_back_what_the_device_holds_by_then() -> None:
    machine = new_machine()
    device = run(machine, "platform_device_alloc", put_text(machine, "leds"), -1)
    run(machine, "platform_device_add", device)
    action = callback(machine)
    run(machine, "devm_add_action", device + DEVICE, action.address, 7)
    probe = callback(machine, -errno.ENODEV)
    driver = put_structure(machine, 240, {0: probe.address, 48: put_text(machine, "leds")})
    run(machine, "__platform_driver_register", driver, 0)
    assert (action.calls, action.arguments[0]) == (1, 7)
    run(machine, "platform_driver_unregister", driver)
    assert action.calls == 1


def test_a_resource_is_released_with_its_device(bound: Bound) -> None:
    release = callback(bound.machine)
    resource = bound.run("__devres_alloc_node", release.address, 40, 0, 0, 0)
    assert bound.machine.heap.size(resource) == 40
    bound.run("devres_add", bound.device, resource)
    assert release.calls == 0
    bound.unbind()
    assert (release.calls, release.arguments[:2]) == (1, (bound.device, resource))
    assert bound.machine.heap.size(resource) is None


def test_a_resource_that_was_never_added_is_freed_without_its_release(bound: Bound) -> None:
    release = callback(bound.machine)
    resource = bound.run("__devres_alloc_node", release.address, 40, 0, 0, 0)
    bound.run("devres_free", resource)
    assert bound.machine.heap.size(resource) is None
    bound.run("devres_free", 0)
    assert bound.run("__devres_alloc_node", release.address, TOO_MUCH, 0, 0, 0) == 0
    bound.unbind()
    assert (release.calls, bound.memory_held()) == (0, [])


def test_a_resource_is_found_by_its_release_and_taken_back(bound: Bound) -> None:
    release, wants = callback(bound.machine), callback(bound.machine, 1)
    resources = [bound.run("__devres_alloc_node", release.address, 8, 0, 0, 0) for _ in range(4)]
    for each in resources:
        bound.run("devres_add", bound.device, each)
    words = (bound.device, release.address, wants.address, 0xDADA)
    assert bound.run("devres_find", *words) == resources[3]
    assert wants.arguments[:3] == (bound.device, resources[3], 0xDADA)
    assert bound.run("devres_find", bound.device, 0x1234, 0, 0) == 0
    assert bound.run("devres_remove", *words) == resources[3]
    assert bound.machine.heap.size(resources[3]) == 8
    assert bound.run("devres_destroy", *words) == 0
    assert (release.calls, bound.machine.heap.size(resources[2])) == (0, None)
    assert bound.run("devres_release", *words) == 0
    assert (release.calls, release.arguments[:2]) == (1, (bound.device, resources[1]))
    bound.unbind()
    assert release.calls == 2
    assert bound.run("devres_destroy", *words) == -errno.ENOENT
    assert bound.run("devres_release", *words) == -errno.ENOENT


@pytest.mark.parametrize("group", [0, 0x1234])
def test_a_group_is_released_without_the_rest(bound: Bound, group: int) -> None:
    device = bound.device
    before = bound.run("devm_kmalloc", device, 8, 0)
    name = bound.run("devres_open_group", device, group, 0)
    assert name == group if group else name != 0
    within = [bound.run("devm_kmalloc", device, 8, 0) for _ in range(2)]
    bound.run("devres_close_group", device, group)
    after = bound.run("devm_kmalloc", device, 8, 0)
    assert bound.run("devres_release_group", device, name) == 2
    sizes = [bound.machine.heap.size(each) for each in (before, *within, after)]
    assert sizes == [8, None, None, 8]
    assert bound.run("devres_release_group", device, name) == 0
    bound.unbind()
    assert bound.memory_held() == []


def test_the_last_open_group_is_meant_where_none_is_named(bound: Bound) -> None:
    device = bound.device
    outer = bound.run("devres_open_group", device, 0, 0)
    kept = bound.run("devm_kmalloc", device, 8, 0)
    inner = bound.run("devres_open_group", device, 0, 0)
    assert inner != outer
    gone = bound.run("devm_kmalloc", device, 8, 0)
    assert bound.run("devres_release_group", device, 0) == 1
    sizes = [bound.machine.heap.size(each) for each in (kept, gone)]
    assert sizes == [8, None]
    assert bound.run("devres_release_group", device, 0) == 1
    assert bound.memory_held() == []


def test_a_group_that_is_removed_leaves_what_was_in_it(bound: Bound) -> None:
    device = bound.device
    name = bound.run("devres_open_group", device, 0, 0)
    kept = bound.run("devm_kmalloc", device, 8, 0)
    bound.run("devres_close_group", device, name)
    bound.run("devres_remove_group", device, name)
    assert bound.machine.heap.size(kept) == 8
    assert bound.run("devres_release_group", device, name) == 0
    assert len(bound.memory_held()) == 1


@pytest.mark.parametrize(
    "function",
    [
        *("devm_request_threaded_irq", "devm_watchdog_register_device"),
        "devm_led_classdev_register_ext",
    ],
)
def test_what_goes_with_the_device_is_on_nobodys_account(bound: Bound, function: str) -> None:
    before = held(bound.machine)
    assert bound.run(function, bound.device, 9, ROOM, 0, 0, 0, 0) == 0
    assert held(bound.machine) == before


def test_an_interrupt_that_no_driver_can_ask_for_is_refused(bound: Bound) -> None:
    words = 9, 0, 0, 0, 0, 0
    assert bound.run("devm_request_threaded_irq", bound.device, *words) == -errno.EINVAL


def test_a_module_that_goes_takes_the_memory_of_its_devices_along(bound: Bound) -> None:
    address = bound.run("devm_kmalloc", bound.device, 100, 0)
    unload(bound.machine)
    assert bound.machine.heap.size(address) is None
    assert held(bound.machine) == []

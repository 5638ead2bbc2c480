# SPDX-License-Identifier: Apache-2.0
"""What a daemon does that owns a machine's modules: it loads for devices, publishes what it denies,
and seals the kernel when that is wanted.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from kmodd.access.trusted_files import objection
from kmodd.config.modules_load import ModuleToLoad, modules_to_load
from kmodd.errors import KmoddError, Reason, RequestError
from kmodd.host.udev import driver_rule
from kmodd.host.udev_gate import UdevGate
from kmodd.kernel.base import DeviceTeller, Kernel
from kmodd.namespace import HOTPLUG, Hotplug, Namespace, RequestContext
from kmodd.namespace.published_denials import PublishedDenials
from kmodd.settings import Settings
from kmodd.trees import Trees

SEAL_AFTER = "seal_after"
"""The origin of a seal that the settings ask for."""

log = logging.getLogger(__name__)


def device_loader(settings: Settings, namespace: Namespace, kernel: Kernel) -> Hotplug | None:
    """Return what loads for devices, which the kernel tells from then on; None where none is to.

    Raises RequestError where the kernel tells of no devices.
    """
    if not settings.hotplug:
        return None
    if not isinstance(kernel, DeviceTeller) or not kernel.traits.is_real:
        why = "hotplug is for the linux kernel: another one has the devices that it is given"
        raise RequestError(Reason.INVALID_REQUEST, why)
    gate = None
    if settings.runtime is not None:
        try:
            gate = UdevGate(settings.runtime / HOTPLUG)
        except OSError as error:
            log.error("udev loads drivers, too: it cannot be kept waiting: %s", error.strerror)
    rule = driver_rule(settings.root, trusted_only=kernel.traits.trusted_files_only)
    hotplug = Hotplug(rule, namespace.load, namespace.has_news, kernel.plugged_devices, gate=gate)
    kernel.hear_devices(hotplug)
    namespace.hotplug = hotplug
    return hotplug


def load_for_devices(hotplug: Hotplug, patience: float) -> None:
    """Load what the devices want that are there, and have udev leave it to the daemon from now on.

    Drivers bring devices along whose events udev hears at once, so the gate is there before the
    first load. What takes longer than ``patience`` seconds goes on meanwhile.
    """
    hotplug.start()
    hotplug.open_gate()
    if not hotplug.wait(patience):
        log.warning("what the devices want that are there is still being loaded")


def wanted_at_start(
    settings: Settings, kernel: Kernel, problems: list[str]
) -> tuple[ModuleToLoad, ...]:
    """Return what modules-load.d names; what is wrong there is added to ``problems``."""
    return modules_to_load(
        settings.root,
        kernel.command_line,
        problems,
        partial(objection, root=settings.root) if kernel.traits.trusted_files_only else None,
    )


def wanted_modules(settings: Settings, kernel: Kernel) -> Iterator[tuple[str, str]]:
    """Yield each name that modules-load.d or a device wants, and what wants it."""
    for each in wanted_at_start(settings, kernel, []):
        yield each.name, each.source
    if isinstance(kernel, DeviceTeller):
        rule = driver_rule(settings.root, trusted_only=kernel.traits.trusted_files_only)
        for device in kernel.plugged_devices():
            for name in rule.wanted(device.properties):
                yield name, device.path


def denials_publisher(settings: Settings, namespace: Namespace, trees: Trees) -> Callable[[], None]:
    """Return what publishes the deny list that is in force, where that is wanted."""
    if not settings.publish_deny:
        return lambda: None
    published = PublishedDenials(settings.root)
    return lambda: published.publish(namespace.deny, trees.in_force())


@contextmanager
def sealed_in_time(settings: Settings, namespace: Namespace) -> Iterator[None]:
    """Seal the kernel when the settings have it so, if that is within the context."""
    if not settings.seal_after:
        yield
        return

    def seal() -> None:
        try:
            made = namespace.seal(RequestContext(origin=SEAL_AFTER))
        except KmoddError as error:
            log.error("the kernel is not sealed: %s", error.message)
        else:
            log.info("the kernel loads no more modules: sealed by %s", made.by)

    timer = threading.Timer(settings.seal_after, seal)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

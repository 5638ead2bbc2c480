# SPDX-License-Identifier: Apache-2.0
"""How the guest is laid out in which devices are plugged in: with udev, and kmodd beside it."""

from pathlib import Path

from tests.realkernel.machine import power_off
from tests.realkernel.service_setup import (
    CODE,
    FSTAB,
    MASKED,
    PYTHON,
    SYSTEMD_UNITS,
    TARGET,
    installed,
    written,
)

DRIVERS = (
    *("virtio_rng", "virtio_input", "e1000", "virtio_scsi", "virtio_balloon"),
    *("xhci_pci", "usbhid", "hid_generic", "usb_storage", "ata_piix", "floppy", "i2c_piix4"),
    *("pcspkr", "psmouse", "evdev", "button", "parport_pc", "ppdev", "serio_raw", "qemu_fw_cfg"),
    *("minix", "sg", "efs", "pppox"),
)
"""What is in the module tree: drivers of the devices that QEMU has, or that are plugged in."""

NEEDED = ("systemd-udev-trigger", "systemd-udevd", "systemd-modules-load")
"""What runs here of the services that other guests do without."""

DENIED = """\
[[deny]]
modules = ["virtio_input", "minix", "slhc"]
reason = "closed here"
"""

SLOW = """\
install virtio_rng /bin/sleep 3; /sbin/modprobe -i virtio_rng
"""
"""A driver whose load takes a while, whoever loads it."""

WANTED = """\
efs
virtio_input
"""
"""What modules-load.d names."""

DROP_IN = """\
[Service]
Restart=no
WatchdogSec=0
TimeoutStartSec=600
"""

BEFORE_UDEV = """\
[Unit]
Before=systemd-udev-trigger.service systemd-modules-load.service sysinit.target
[Service]
StartupCPUWeight=100
"""
"""What has a boot wait for kmodd, as kmodd-service(7) has it."""

GUEST_UNIT = """\
[Unit]
DefaultDependencies=no
After=sysinit.target {after}
[Service]
Type=oneshot
TimeoutStartSec=infinity
WorkingDirectory=/opt/kmodd/project
Environment=PYTHONPATH={path}
ExecStartPre=udevadm settle --timeout=600
ExecStart={python} -m tests.realkernel.{program} /run/out
ExecStopPost=-journalctl --no-pager --unit=kmodd.service --unit=systemd-udevd.service
ExecStopPost={power_off}
StandardOutput=append:/run/out/log
StandardError=append:/run/out/log
"""

LIKE_ANY = """\
rm /newroot/etc/kmodd/kmodd.toml.d/denied.toml /newroot/etc/modprobe.d/slow.conf
"""
"""Leaves both boots the same modules to load, none of them slow."""

UNDONE = """\
chroot /newroot systemctl --quiet disable kmodd.service kmodd-udev-rule.path
chroot /newroot /opt/kmodd/bin/kmodd setup --undo >/newroot/run/out/undone 2>&1
"""


def hotplug_setup(project: Path) -> str:
    """Return the script that prepares the root of the guest in which kmodd has the loads."""
    return _laid_out(project, "hotplug_guest", "kmodd.service") + _set_up()


def measured_setup(project: Path, *, kmodd: bool, before_udev: bool = False) -> str:
    """Return the script for a guest whose boot is measured, with ``kmodd`` or without.

    Where it is there ``before_udev``, the boot waits for it.
    """
    script = _laid_out(project, "boot_times") + LIKE_ANY + _set_up()
    if not kmodd:
        # All the same it was there before: what has been read once is read fast in both boots.
        script += UNDONE
    if before_udev:
        script += written(BEFORE_UDEV, f"{SYSTEMD_UNITS}/kmodd.service.d/before-udev.conf")
    return script


def _laid_out(project: Path, program: str, after: str = "") -> str:
    unit = GUEST_UNIT.format(
        python=PYTHON, path=CODE, program=program, after=after, power_off=power_off()
    )
    masks = "\n".join(
        f"ln -s /dev/null {SYSTEMD_UNITS}/{name}.service" for name in MASKED if name not in NEEDED
    )
    return f"""
{masks}
{written(FSTAB, "/newroot/etc/fstab")}
{installed(project)}
chroot /newroot /sbin/depmod -a
rm -f /newroot/etc/modules-load.d/* /newroot/etc/modules /newroot/usr/lib/modules-load.d/*
mkdir -p /newroot/etc/modprobe.d /newroot/etc/modules-load.d
{written(SLOW, "/newroot/etc/modprobe.d/slow.conf")}
{written(WANTED, "/newroot/etc/modules-load.d/test.conf")}
{written(DENIED, "/newroot/etc/kmodd/kmodd.toml.d/denied.toml")}
{written(unit, f"{SYSTEMD_UNITS}/kmodd-guest.service")}
{written(TARGET, f"{SYSTEMD_UNITS}/default.target")}
"""


def _set_up() -> str:
    return f"""
chroot /newroot /opt/kmodd/bin/kmodd setup >/newroot/run/out/setup 2>&1
chroot /newroot systemctl --quiet enable kmodd.service kmodd-udev-rule.path
mkdir -p {SYSTEMD_UNITS}/kmodd.service.d
{written(DROP_IN, f"{SYSTEMD_UNITS}/kmodd.service.d/test.conf")}
"""

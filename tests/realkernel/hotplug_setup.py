# SPDX-License-Identifier: Apache-2.0
"""How the guest is laid out in which devices are plugged in: with udev, and kmodd before it."""

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

GUEST_UNIT = """\
[Unit]
DefaultDependencies=no
After=kmodd.service sysinit.target systemd-udev-settle.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
WorkingDirectory=/opt/kmodd/project
Environment=PYTHONPATH={path}
ExecStart={python} -m tests.realkernel.hotplug_guest {which} /run/out
ExecStopPost=-journalctl --no-pager --unit=kmodd.service --unit=systemd-udevd.service
ExecStopPost={power_off}
StandardOutput=append:/run/out/log
StandardError=append:/run/out/log
"""


def hotplug_setup(project: Path, *, owned: bool) -> str:
    """Return the script that prepares the guest's root, where kmodd has the loads if ``owned``."""
    which = "owned" if owned else "plain"
    unit = GUEST_UNIT.format(python=PYTHON, path=CODE, which=which, power_off=power_off())
    masks = "\n".join(
        f"ln -s /dev/null {SYSTEMD_UNITS}/{name}.service" for name in MASKED if name not in NEEDED
    )
    own = ""
    if owned:
        own = f"""
chroot /newroot /opt/kmodd/bin/kmodd setup >/newroot/run/out/setup 2>&1
chroot /newroot systemctl --quiet enable kmodd.service kmodd-udev-rule.path
mkdir -p {SYSTEMD_UNITS}/kmodd.service.d
{written(DROP_IN, f"{SYSTEMD_UNITS}/kmodd.service.d/test.conf")}
"""
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
{own}
{written(unit, f"{SYSTEMD_UNITS}/kmodd-guest.service")}
{written(TARGET, f"{SYSTEMD_UNITS}/default.target")}
"""

# SPDX-License-Identifier: Apache-2.0
"""How the guest is laid out in which systemd starts kmodd.service."""

import shlex
import sys
import sysconfig
from pathlib import Path

from tests.realkernel.machine import power_off

SYSTEMD = Path("/lib/systemd/systemd")
SYSTEMD_UNITS = "/newroot/etc/systemd/system"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"/newroot/opt/kmodd/lib/{VERSION}/site-packages"
PYTHON = f"/opt/kmodd/python/bin/{VERSION}"
CODE = "/opt/kmodd/project:/opt/kmodd/packages"

MASKED = (
    "systemd-tmpfiles-setup",
    "systemd-tmpfiles-setup-dev",
    "systemd-udev-trigger",
    "systemd-udevd",
    "systemd-sysusers",
    "systemd-modules-load",
    "systemd-journal-flush",
)
"""Services that look at all of the host's files, or at hardware, for minutes."""

FSTAB = """\
overlay / overlay rw 0 0
tmpfs /var tmpfs mode=755 0 0
"""
"""The guest starts with / read-only; it becomes writable, and later there is another /var.

The module tree is read-only, too, until a test makes it writable.
"""

LATE = """\
[Unit]
After=kmodd.service
"""
"""Keeps /var away until kmodd is ready."""

SOCKET = """\
[[socket]]
path = "/run/kmodd/test/kmodd.sock"
role = "loader"
group = "kmodd-loader"
mode = 0o660
allow = ["greet", "world"]
"""
"""A drop-in for kmodd.toml: a socket in a directory that nobody has prepared."""

PUBLIC_SOCKET = """\
[[socket]]
path = "/run/kmodd/kmodd.sock"
name = "public"
grants = true
mode = 0o666

[[grant]]
role = "observer"
users = ["games"]

[[grant]]
role = "loader"
groups = ["kmodd-loader"]
allow = ["greet", "world"]

[[grant]]
role = "loader"
units = ["kmodd-net*.service"]
allow = ["gplsym"]
parameters = true

[[grant]]
role = "loader"
containers = ["web"]
allow = ["world"]
"""
"""The socket of kmodd-public.socket, and who may do what there."""

BAD_SOCKET = """\
[[socket]]
path = "/run/kmodd/unmade/kmodd.sock"
role = "observer"
group = "kmodd-unmade"
mode = 0o660
"""
"""Another one: a socket for a group that nobody has made."""

DROP_IN = """\
[Service]
WatchdogSec=30
TimeoutAbortSec=3
"""

AGENTS_DROP_IN = """\
[Service]
Environment=LD_LIBRARY_PATH=/opt/kmodd/python/lib
"""
"""Where the agent finds its Python's library, whose own directory may be in a home."""

TARGET = """\
[Unit]
Requires=sysinit.target
After=sysinit.target
Wants=sockets.target kmodd-guest.service
"""
"""All that the guest is for: the host's own services stay out of it, but for their sockets."""

GUEST_UNIT = """\
[Unit]
DefaultDependencies=no
After=kmodd.service sysinit.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
WorkingDirectory=/opt/kmodd/project
Environment=PYTHONPATH={path}
ExecStart={python} -m tests.realkernel.service_guest {uploads} {results}
ExecStopPost=-journalctl --no-pager --unit=kmodd.service --unit=kmodd-fleet.service
ExecStopPost={power_off}
StandardOutput=append:/run/out/log
StandardError=append:/run/out/log
"""


def service_setup(project: Path, uploads: Path) -> str:
    """Return the script that prepares the guest's root: the unit as kmodd-service(7) installs it.

    The service sees neither /home nor /root nor /tmp, so this Python, its packages and ``project``
    go below /opt, as in a virtual environment with the programs that pip installs.
    """
    unit = GUEST_UNIT.format(
        python=PYTHON, path=CODE, uploads=uploads, results="/run/out/results", power_off=power_off()
    )
    masks = "\n".join(f"ln -s /dev/null {SYSTEMD_UNITS}/{name}.service" for name in MASKED)
    return f"""
{masks}
{written(FSTAB, "/newroot/etc/fstab")}
mkdir {SYSTEMD_UNITS}/var.mount.d
{written(LATE, f"{SYSTEMD_UNITS}/var.mount.d/late.conf")}
{installed(project)}
{written(SOCKET, "/newroot/etc/kmodd/kmodd.toml.d/test.toml")}
{written(BAD_SOCKET, "/newroot/etc/kmodd/kmodd.toml.d/bad.toml")}
{written(PUBLIC_SOCKET, "/newroot/etc/kmodd/kmodd.toml.d/public.toml")}
chroot /newroot systemctl --quiet enable kmodd.service kmodd-public.socket
mkdir {SYSTEMD_UNITS}/kmodd.service.d {SYSTEMD_UNITS}/kmodd-fleet.service.d
{written(DROP_IN, f"{SYSTEMD_UNITS}/kmodd.service.d/test.conf")}
{written(AGENTS_DROP_IN, f"{SYSTEMD_UNITS}/kmodd-fleet.service.d/test.conf")}
{written(unit, f"{SYSTEMD_UNITS}/kmodd-guest.service")}
{written(TARGET, f"{SYSTEMD_UNITS}/default.target")}
mount -o remount,ro tmpfs /newroot/usr/lib/modules
mount -o remount,ro overlay /newroot
"""


def installed(project: Path) -> str:
    """Return the script that installs kmodd in the guest's root, with its unit."""
    source = shlex.quote(f"/newroot{project}/systemd")
    programs = shlex.quote(f"/newroot{project}/kmodctl/share/programs")
    return f"""
rm -rf /newroot/var/lib/kmodd /newroot/.dockerenv
mkdir -p /newroot/opt/kmodd/bin {SITE}
{_bound(sys.base_prefix, "python")}
{_bound(sysconfig.get_path("purelib"), "packages")}
{_bound(str(project), "project")}
ln -s /opt/kmodd/project/kmodctl /opt/kmodd/project/kmodd {SITE}
echo /opt/kmodd/packages > {SITE}/packages.pth
echo 'home = /opt/kmodd/python/bin' > /newroot/opt/kmodd/pyvenv.cfg
for program in kmodctl kmodctl-or-kmod kmodd; do
    cp {programs}/kmodctl /newroot/opt/kmodd/bin/$program
done
cp {programs}/start.py /newroot/opt/kmodd/bin/kmodd-start
chmod 755 /newroot/opt/kmodd/bin/*
ln -s {PYTHON} /newroot/opt/kmodd/bin/python3
ln -s kmodctl /newroot/opt/kmodd/bin/modprobe
ln -sf /opt/kmodd/bin/kmodctl /newroot/usr/sbin/modprobe
cp {source}/kmodd*.service {source}/kmodd*.socket {SYSTEMD_UNITS}
mkdir -p /newroot/etc/sysusers.d /newroot/etc/tmpfiles.d /newroot/etc/kmodd/kmodd.toml.d
cp {source}/sysusers.d/kmodd.conf /newroot/etc/sysusers.d
cp {source}/tmpfiles.d/kmodd.conf /newroot/etc/tmpfiles.d
chroot /newroot systemd-sysusers kmodd.conf
cp {source}/kmodd.toml /newroot/etc/kmodd
mkdir -p /newroot/usr/local/lib/systemd/catalog
cp {source}/kmodd.catalog /newroot/usr/local/lib/systemd/catalog
"""


def _bound(directory: str, name: str) -> str:
    place = f"/newroot/opt/kmodd/{name}"
    return f"mkdir {place}; mount --bind {shlex.quote(f'/newroot{directory}')} {place}"


def written(text: str, path: str) -> str:
    return f"cat > {path} <<'END'\n{text}END"

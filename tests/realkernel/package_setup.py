# SPDX-License-Identifier: Apache-2.0
"""How the guests are laid out in which the Debian package lives from its installation to its end.

They have a bare system of a suite of Debian's, and systemd as the first process. What is done is a
shell script: each of its values becomes a record.
"""

import shutil
import subprocess
from pathlib import Path

from tests.realkernel.service_setup import MASKED, SYSTEMD_UNITS, written
from tests.support.tree import ModuleTree

FOLDERS = (
    *("kernel/drivers/virtio", "kernel/net/9p", "kernel/fs/9p", "kernel/fs/netfs"),
    *("kernel/fs/fscache", "kernel/fs/overlayfs", "kernel/fs/efs", "kernel/fs/minix"),
)
"""What is in the module tree, as far as a kernel has it: what the guest's root stands on, and what
is loaded.
"""

NEXT = "9.9.9"
"""The version that the package is upgraded to."""

TARGET = """\
[Unit]
Wants=package-life.service
"""
"""All that the guest is for; kmodd needs nothing else that systemd might start."""

UNIT = """\
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
TimeoutStartSec=infinity
Environment=PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
ExecStart=/bin/sh /run/packages/life.sh
ExecStopPost=-/bin/sh -c 'journalctl --no-pager --unit=kmodd.service >>/run/out/log'
ExecStopPost=/run/busybox poweroff -f
StandardOutput=append:/run/out/log
StandardError=append:/run/out/log
"""

LIFE = """\
say() {
    printf '%s\\t%s\\n' "$1" "$(tr '\\n' ' ')" >>/run/out/said
    printf '%s at %s s\\n' "$1" "$(cut -d. -f1 /proc/uptime)"
}
files() { (cd /run/upper && find . ! -type d) | sort; }
modules() { (cd /lib/modules && find . -name '*.ko*' -exec sha256sum {} +) | sort; }
databases() { (cd /lib/modules && find . -name 'modules.*' -exec sha256sum {} +) | sort; }
active() { systemctl is-active kmodd.service; }
mkdir -p /run/out
depmod -a
files >/run/before
modules >/run/modules
databases >/run/databases

dpkg --force-unsafe-io -i /run/packages/first.deb
active | say 'installed: active'
kmodctl status | say 'installed: status'
kmodctl modprobe minix
cut -d' ' -f1 /proc/modules | say 'installed: loaded'
getent group kmodd-observer kmodd-loader | cut -d: -f1 | say 'installed: groups'
systemctl is-enabled kmodd.service kmodd-public.socket | say 'installed: enabled'
echo 'kernel.modprobe = /opt/kmodd/bin/modprobe' >/etc/sysctl.d/kmodd.conf
echo /opt/kmodd/bin/modprobe >/proc/sys/kernel/modprobe

echo '# mine' >>/etc/kmodd/kmodd.toml
dpkg --force-unsafe-io --force-confold -i /run/packages/next.deb
active | say 'upgraded: active'
kmodctl status | say 'upgraded: status'
kmodctl lsmod | cut -d' ' -f1 | say 'upgraded: listed'
tail -n 1 /etc/kmodd/kmodd.toml | say 'upgraded: settings'

dpkg -r kmodd
active | say 'removed: active'
cut -d' ' -f1 /proc/modules | say 'removed: loaded'
cat /proc/sys/kernel/modprobe | say "removed: the kernel's"
ls /etc/kmodd | say 'removed: settings'

dpkg -P kmodd
files | comm -13 /run/before - | say 'purged: new files'
files | comm -23 /run/before - | say 'purged: missing files'
modules | comm -3 /run/modules - | say 'purged: modules'
databases | comm -3 /run/databases - | say 'purged: databases'
getent group kmodd-observer kmodd-loader | say 'purged: groups'
echo yes | say 'ended'
"""


def package_setup() -> str:
    """Return the script that prepares the guest's root; the packages come with the module tree."""
    masks = "\n".join(f"ln -sf /dev/null {SYSTEMD_UNITS}/{name}.service" for name in MASKED)
    return f"""
{masks}
cp /bin/busybox /newroot/run/busybox
mv /tree/packages /newroot/run/packages
mkdir /newroot/run/upper
mount --bind /upper/data /newroot/run/upper
{written(UNIT, f"{SYSTEMD_UNITS}/package-life.service")}
rm -f {SYSTEMD_UNITS}/default.target
{written(TARGET, f"{SYSTEMD_UNITS}/default.target")}
"""


def add_packages(tree: ModuleTree, package: Path, work: Path) -> None:
    """Add the package, the next version of it and what is done with them to what the guest has."""
    place = tree.root / "packages"
    place.mkdir()
    files = work / "package"
    subprocess.run(["dpkg-deb", "-R", str(package), str(files)], check=True)
    pack(files, place / "first.deb")
    become_next(files)
    pack(files, place / "next.deb")
    shutil.rmtree(files)
    (place / "life.sh").write_text(LIFE)


def pack(files: Path, package: Path) -> None:
    """Make a package; it is not compressed, which the guest would spend its time on."""
    command = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(files), str(package)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def become_next(files: Path) -> None:
    """Change the files of a package to those of the next version, which has other settings."""
    control = files / "DEBIAN/control"
    lines = control.read_text().splitlines()
    lines = [f"Version: {NEXT}-1" if line.startswith("Version:") else line for line in lines]
    control.write_text("\n".join(lines) + "\n")
    module = files / "opt/kmodd/lib/python3/site-packages/kmodd/__init__.py"
    module.write_text(f'__version__ = "{NEXT}"\n')
    for code in (module.parent / "__pycache__").glob("__init__.*.pyc"):
        code.unlink()
    with (files / "etc/kmodd/kmodd.toml").open("a") as settings:
        settings.write("# Another example.\n")

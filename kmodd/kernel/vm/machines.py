# SPDX-License-Identifier: Apache-2.0
"""The machines that guests are: one for each architecture, as QEMU's program for it makes it."""

from kmodd.modulefile.elf import ElfMachine
from kmodd.records import record


@record(kw_only=True)
class GuestMachine:
    """A machine, in QEMU's words.

    ``program`` is QEMU's, ``package`` Debian's that has it, and ``image_package`` Debian's that has
    a kernel for it. ``processor`` is the one that is emulated. ``device`` is the serial bus of
    virtio's, and ``transport`` the module that drives what it hangs on, if it is one. ``console``
    is what the kernel calls the first serial line, ``arguments`` what its command line has besides.
    """

    architecture: str
    program: str
    package: str
    image_package: str
    machine: str
    processor: str
    device: str
    transport: str
    console: str
    arguments: str = ""


X86_64 = GuestMachine(
    architecture="x86_64",
    program="qemu-system-x86_64",
    package="qemu-system-x86",
    image_package="linux-image-amd64",
    machine="q35",
    # An old one is emulated in 60 % of the time that QEMU's newest takes.
    processor="Nehalem",
    device="virtio-serial-pci",
    transport="virtio_pci",
    console="ttyS0",
    # A timer that comes late on a busy machine is not one that does not work.
    arguments="mitigations=off no_timer_check",
)

AARCH64 = GuestMachine(
    architecture="aarch64",
    program="qemu-system-aarch64",
    package="qemu-system-arm",
    image_package="linux-image-arm64",
    machine="virt,gic-version=3",
    processor="cortex-a57",
    device="virtio-serial-pci",
    transport="virtio_pci",
    console="ttyAMA0",
    arguments="mitigations=off",
)

RISCV64 = GuestMachine(
    architecture="riscv64",
    program="qemu-system-riscv64",
    package="qemu-system-misc",
    image_package="linux-image-riscv64",
    machine="virt",
    processor="rv64",
    device="virtio-serial-pci",
    transport="virtio_pci",
    console="ttyS0",
)

S390X = GuestMachine(
    architecture="s390x",
    program="qemu-system-s390x",
    package="qemu-system-misc",
    image_package="linux-image-s390x",
    machine="s390-ccw-virtio",
    processor="max",
    device="virtio-serial-ccw",
    # What drives it is never a module.
    transport="",
    console="ttysclp0",
)

PPC64LE = GuestMachine(
    architecture="ppc64le",
    program="qemu-system-ppc64",
    package="qemu-system-ppc",
    image_package="linux-image-powerpc64le",
    machine="pseries",
    processor="power9",
    device="virtio-serial-pci",
    transport="virtio_pci",
    console="hvc0",
)

_BY_ELF = {
    (ElfMachine.X86_64, 64, "little"): X86_64,
    (ElfMachine.AARCH64, 64, "little"): AARCH64,
    (ElfMachine.RISCV, 64, "little"): RISCV64,
    (ElfMachine.S390, 64, "big"): S390X,
    (ElfMachine.PPC64, 64, "little"): PPC64LE,
}

MACHINES = tuple(_BY_ELF.values())
"""All machines that there are."""


def machine_of(machine: int, bits: int, byteorder: str) -> GuestMachine | None:
    """Return the machine for ELF files that say so of themselves (elf(5)); None where none is."""
    return next((each for key, each in _BY_ELF.items() if key == (machine, bits, byteorder)), None)

# SPDX-License-Identifier: Apache-2.0
"""Compiles the guest's agent for each architecture: ``python -m kmodd.kernel.vm.agent.build``.

The compilers are Debian's (the packages gcc and gcc-ARCHITECTURE-linux-gnu); nothing but the
compiler and what it links with is needed, as the agent has no library.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "agent.c"

PREFIXES = {
    "aarch64": "aarch64-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "x86_64": "x86_64-linux-gnu",
}
"""How the names of the tools begin, by the machine's name (uname(2))."""

FLAGS = [
    *("-Os", "-std=gnu11", "-Wall", "-Wextra", "-Werror"),
    *("-ffreestanding", "-nostdlib", "-static", "-no-pie", "-fno-pie", "-fno-strict-aliasing"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"),
    *("-fno-ident", "-fno-tree-loop-distribute-patterns"),
    "-Wl,--build-id=none,-z,norelro,-z,noseparate-code,-z,noexecstack,-s",
]

OTHER_FLAGS = {
    "x86_64": ["-fcf-protection=none"],
    # Small data is reached by a register that nothing has set.
    "riscv64": ["-Wl,--no-relax"],
}


def compiler(machine: str) -> str:
    """Return the name of the compiler for a machine."""
    return f"{PREFIXES[machine]}-gcc"


def compile_agent(machine: str, output: Path) -> None:
    """Compile the agent into the file ``output``; raises CalledProcessError, FileNotFoundError."""
    flags = FLAGS + OTHER_FLAGS.get(machine, [])
    # By a relative name: the same bytes wherever the source is.
    command = [compiler(machine), *flags, "-o", str(output.absolute()), SOURCE.name]
    subprocess.run(command, cwd=HERE, check=True)


def main() -> None:
    """Compile what is named, or everything, into the files that are checked in."""
    for machine in sys.argv[1:] or PREFIXES:
        compile_agent(machine, HERE / f"agent.{machine}")


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What the processor says it is, and can do."""

_FMA, _AVX, _F16C = 1 << 12, 1 << 28, 1 << 29
_AVX2, _INVPCID, _SHA_NI = 1 << 5, 1 << 10, 1 << 29

FEATURES = {
    0: 0x0F8BFBFF,
    1: 0x2C100800,
    3: (1 << 16) | (1 << 8) | (1 << 20) | (1 << 0),
    4: 0xFED83203 & ~(_FMA | _AVX | _F16C),
    6: 0x00000165,
    9: 0x219C07AB & ~(_AVX2 | _INVPCID | _SHA_NI),
    16: 0x00000004,
}
"""The processor's features in the words of cpufeatures.h: those of QEMU's own, as far as modules
ask for them when they are loaded, but for the instructions that the emulator's library does not
have. What a module is told to be there it may run in its init (raid6_pq)."""

CPU_VENDOR, CPU_FAMILY, CPU_MODEL, CPU_STEPPING = 2, 15, 107, 1
"""The processor: QEMU's, which calls itself an AMD."""

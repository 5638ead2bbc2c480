# SPDX-License-Identifier: Apache-2.0
"""The emulated hardware.

x86_64, trampoline, events  registers, how functions are called, why the processor has stopped
lockup_detector             finds code that runs and runs
memory, addresses           what is where
cpuid, modalias             what the processor and a device say they are
"""

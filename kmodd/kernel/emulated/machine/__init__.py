# SPDX-License-Identifier: Apache-2.0
"""The kernel's part of what runs on the hardware.

machine                     the parts together, and what families of functions know (state)
calls                       functions of modules that are called, kernel functions that they call
tasks, scheduler, stacks    threads, work and timers beside the call that is under way
sleepers, user_memory       users of files that wait, and what is theirs of the memory
clock, time_limit           the machine's own time, and what time of the world a call has
kernel_symbols              functions that trap, variables that hold what modules look at
image, images               modules in memory, and which is at an address
heap, resource_ledger       what modules allocate, and what they have not given back
pseudo_filesystem           the names that they have made
faults, crash               what went wrong with code, and what the kernel says of it
services, module_requests   what is asked of the kernel around the machine
deferred_work, log_lines,   callbacks of RCU, lines that come in pieces, functions that nobody
stubs                       has modelled
"""

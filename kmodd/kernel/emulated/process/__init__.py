# SPDX-License-Identifier: Apache-2.0
"""The kernel in a process of its own.

isolated                    the kernel as others see it, booted anew whenever it panics
boot                        one boot: the process, the conversation with it, the calls under way
child                       what runs in the process
served_files, remote_file   files that are open in the kernel: the process's end, and the daemon's
confinement                 what the process gives up, step by step
messages, wire              what the two say to each other, and how it is sent
"""

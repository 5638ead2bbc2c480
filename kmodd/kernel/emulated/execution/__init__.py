# SPDX-License-Identifier: Apache-2.0
"""How modules' code is run.

cpu                         who runs it: an emulated processor, or nobody
processor                   a module's init and exit, parameters, devices; crashes
user_files                  files of modules that are open: each call of a user's
placement, relocate         how a module comes into memory, and its words are filled in
"""

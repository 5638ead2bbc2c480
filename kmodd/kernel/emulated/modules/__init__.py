# SPDX-License-Identifier: Apache-2.0
"""A module's file, and its place in the kernel.

candidate, load_info        a file that wants to become a module, what is found out about it
image_cache                 the files that were loaded lately
symbol_table, versions,     what a file says: its symbols and their versions, its parameters and
param_table, params         their values, its place in memory
layout, section_files
kallsyms                    the names of its functions, once the file is gone
struct_module, module_table the module, and the table of all of them
"""

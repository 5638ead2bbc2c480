# SPDX-License-Identifier: Apache-2.0
"""What the administrator wrote: modprobe.d, modules-load.d and the kernel's command line."""

from kmodd.config.directives import (
    Alias,
    Blacklist,
    Command,
    Config,
    Options,
    SoftDependency,
    WeakDependency,
)
from kmodd.config.files import config_directories
from kmodd.config.modprobe import parse_config, read_config
from kmodd.config.modules_load import MODULES_LOAD, ModuleToLoad, modules_to_load

__all__ = [
    "MODULES_LOAD",
    "Alias",
    "Blacklist",
    "Command",
    "Config",
    "ModuleToLoad",
    "Options",
    "SoftDependency",
    "WeakDependency",
    "config_directories",
    "modules_to_load",
    "parse_config",
    "read_config",
]

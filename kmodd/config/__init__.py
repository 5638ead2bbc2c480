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

__all__ = [
    "Alias",
    "Blacklist",
    "Command",
    "Config",
    "Options",
    "SoftDependency",
    "WeakDependency",
    "config_directories",
    "parse_config",
    "read_config",
]

# SPDX-License-Identifier: Apache-2.0
"""What the administrator wrote: modprobe.d and the kernel's command line, as frozen values."""

from kmodd.config.files import config_directories
from kmodd.config.model import (
    Alias,
    Blacklist,
    Command,
    Config,
    Options,
    SoftDependency,
    WeakDependency,
)
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

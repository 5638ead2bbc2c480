# SPDX-License-Identifier: Apache-2.0
"""What a daemon is told: the values, and how kmodd.toml says them (toml)."""

from kmodd.settings.values import (
    ADMIN_SOCKET,
    LOG_LEVELS,
    SYSTEM_RUNTIME,
    VM_MEMORY,
    VM_PROCESSORS,
    Limits,
    Settings,
    SocketSettings,
    Timing,
    check_command_line,
    default_cache,
    default_config,
    default_runtime,
    default_socket,
    default_state,
    default_wishes,
)

__all__ = [
    "ADMIN_SOCKET",
    "LOG_LEVELS",
    "SYSTEM_RUNTIME",
    "VM_MEMORY",
    "VM_PROCESSORS",
    "Limits",
    "Settings",
    "SocketSettings",
    "Timing",
    "check_command_line",
    "default_cache",
    "default_config",
    "default_runtime",
    "default_socket",
    "default_state",
    "default_wishes",
]

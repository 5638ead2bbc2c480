# SPDX-License-Identifier: Apache-2.0
"""The machine around the daemon: systemd, mounts, descriptors, signals, sockets."""

# SPDX-License-Identifier: Apache-2.0
"""kmodd on a real kernel, in a virtual machine."""

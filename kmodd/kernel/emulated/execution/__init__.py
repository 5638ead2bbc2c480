# SPDX-License-Identifier: Apache-2.0
"""How modules' code is run: its place in memory, its parameters, its init and exit."""

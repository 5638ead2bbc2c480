# SPDX-License-Identifier: Apache-2.0
"""One file a command: ``configure`` adds its arguments, ``run`` carries it out."""

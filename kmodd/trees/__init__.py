# SPDX-License-Identifier: Apache-2.0
"""The module trees of a root: what is in force for each release, and when it is built anew.

Their watcher is not among what is exported here: it brings watchdog.
"""

from kmodd.trees.generation import Generation, TreeSummary
from kmodd.trees.releases import Trees, modules_directory

__all__ = ["Generation", "TreeSummary", "Trees", "modules_directory"]

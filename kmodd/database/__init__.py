# SPDX-License-Identifier: Apache-2.0
"""The database of a module tree: which module answers to a name, and what it needs."""

from kmodd.database.database import Database, Dependencies
from kmodd.database.inventory import FileStamp, ModuleRecord

__all__ = ["Database", "Dependencies", "FileStamp", "ModuleRecord"]

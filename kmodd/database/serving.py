# SPDX-License-Identifier: Apache-2.0
"""The assistant's own side (see ``kmodd.database.assistant``).

It and what it imports are kept light, since the time until it answers is lost.
"""

import gc
import pickle
from typing import BinaryIO


def serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Answer requests until they end. A function that raises ends it: nobody is told why."""
    gc.disable()  # nothing here is in a cycle, and what is read stays until the process ends
    while True:
        try:
            function, args, kwargs = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(function(*args, **kwargs), results, protocol=5)
        results.flush()

# SPDX-License-Identifier: Apache-2.0
"""The assistant's own side (see ``kmodd.database.assistant``).

It and what it imports are kept light, since the time until it answers is lost.
"""

import pickle
from typing import BinaryIO


def serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Answer requests until they end. A function that raises ends it: nobody is told why."""
    while True:
        try:
            function, args, kwargs = pickle.load(requests)
        except EOFError:
            return
        pickle.dump(function(*args, **kwargs), results, protocol=5)
        results.flush()

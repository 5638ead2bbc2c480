# SPDX-License-Identifier: Apache-2.0
"""modinfo of a file for one caller, with the caller's own rights.

A daemon takes in files from admins alone. For everybody else ``kmodctl modinfo FILE`` runs
``python -m kmodd.oneshot.modinfo NAME`` with the file as its input; the output is a serialised
``kmodd.v1.InspectModuleResponse``.
"""

import sys

from kmodd.errors import KmoddError
from kmodd.queries.messages import info_message
from kmodd.queries.modinfo import info_of_image
from kmodd.settings import Limits
from kmodd.v1.database_service_pb2 import InspectModuleResponse


def main(words: list[str]) -> int:
    """Answer for the file ``words[0]``, read from the input; returns the exit status."""
    image = sys.stdin.buffer.read(Limits().image_bytes)
    try:
        info = info_of_image(image, words[0])
    except KmoddError as error:
        print(error.message, file=sys.stderr)
        return 1
    answer = InspectModuleResponse(module=info_message(info))
    sys.stdout.buffer.write(answer.SerializeToString())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

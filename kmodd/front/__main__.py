# SPDX-License-Identifier: Apache-2.0
"""The command ``kmodd front``, by which kmodd-public.service runs the front."""

import sys

from kmodd.host.transport import choose_transport


def main() -> int:
    """Run the front; returns the exit status."""
    choose_transport()
    from kmodd.front.process import run_as_unit

    return run_as_unit()


if __name__ == "__main__":
    sys.exit(main())

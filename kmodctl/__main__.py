# SPDX-License-Identifier: Apache-2.0
"""The command ``kmodctl``."""

import sys

from kmodctl.cli import main

if __name__ == "__main__":
    sys.exit(main())

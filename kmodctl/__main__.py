# SPDX-License-Identifier: Apache-2.0
"""The command ``kmodctl``."""

from kmodctl.cli import run as main

if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Print where the proto files are: ``protoc -I "$(python -m kmodctl.protos)" ...``."""

from kmodctl.protos import directory

if __name__ == "__main__":
    print(directory())

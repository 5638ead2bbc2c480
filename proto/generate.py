# SPDX-License-Identifier: Apache-2.0
"""Generate kmodd/v1 from proto/kmodd/v1: ``python proto/generate.py [OUTPUT DIRECTORY]``.

Needs grpcio-tools in the version that the ``test`` extra pins: the oldest that the project
supports, so that the generated code runs with that one and every later one.
"""

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent


def generate(output: Path) -> None:
    """Write the messages, their type stubs and the service stubs under ``output``."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    well_known = str(resources.files("grpc_tools") / "_proto")
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={well_known}",
        f"--python_out={output}",
        f"--pyi_out={output}",
        f"--grpc_python_out={output}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    for stray in output.rglob("*_pb2_grpc.py"):
        if "service " not in (PROTO / stray.relative_to(output)).with_name(
            stray.name.replace("_pb2_grpc.py", ".proto")
        ).read_text(encoding="utf-8"):
            stray.unlink()


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTO.parent)

# SPDX-License-Identifier: Apache-2.0
"""Generate code from proto/kmodd/v1: ``python proto/generate.py [OUTPUT DIRECTORY]``.

That is kmodd/v1, kmodctl/services.py with the methods as the Python client calls them,
kmodctl/aio/client.py with that client for asyncio, and kmodd/messages with all of it for a process
that has no time to import protobuf. What kmodctl asks of etcd is described in kmodctl/fleet, and
the code for that is written beside it.

With ``--release`` the descriptors are kept, too, as those that later ones are compared with.

Needs grpcio-tools in the version that the ``test`` extra pins: the oldest that the project
supports, so that the generated code runs with that one and every later one.
"""

import argparse
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from client_aio import aio_source
from client_messages import message_sources
from client_services import services_source
from compatibility import breaks
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
RELEASED = PROTO / "released" / "kmodd.v1.binpb"
ETCD = "kmodctl/fleet/etcd_rpc.proto"


def generate(output: Path) -> None:
    """Write the messages and stubs of both kinds, and the client's methods."""
    for root, sources in ((PROTO, _sources()), (PROTO.parent, [ETCD])):
        outputs = (f"--{kind}_out={output}" for kind in ("python", "pyi", "grpc_python"))
        _protoc(root, *outputs, *sources)
    for stray in (output / "kmodd" / "v1").glob("*_pb2_grpc.py"):
        if "service " not in (PROTO / stray.relative_to(output)).with_name(
            stray.name.replace("_pb2_grpc.py", ".proto")
        ).read_text(encoding="utf-8"):
            stray.unlink()
    files = described("--include_source_info")
    _write(output / "kmodctl" / "services.py", services_source(files))
    client = (PROTO.parent / "kmodctl" / "client.py").read_text(encoding="utf-8")
    _write(output / "kmodctl" / "aio" / "client.py", aio_source(client))
    for module, source in message_sources(files).items():
        _write(output / "kmodd" / "messages" / f"{module}.py", source)


def _write(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")


def release() -> None:
    """Keep the descriptors of now as the released ones.

    Raises SystemExit where they break what was released before.
    """
    found = breaks(FileDescriptorSet.FromString(RELEASED.read_bytes()), described())
    if found:
        raise SystemExit("\n".join(("the API as it was released is broken:", *found)))
    RELEASED.write_bytes(described().SerializeToString(deterministic=True))


def described(*arguments: str) -> FileDescriptorSet:
    """Return the descriptors of the API's files; ``arguments`` are protoc's."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "api.binpb"
        _protoc(PROTO, *arguments, f"--descriptor_set_out={path}", *_sources())
        return FileDescriptorSet.FromString(path.read_bytes())


def _sources() -> list[str]:
    """Return the paths of the API's files below ``PROTO``."""
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))


def _protoc(root: Path, *arguments: str) -> None:
    """Run protoc on files below ``root``; raises SystemExit where it fails."""
    well_known = str(resources.files("grpc_tools") / "_proto")
    paths = (f"--proto_path={root}", f"--proto_path={well_known}")
    if protoc.main(["protoc", *paths, *arguments]) != 0:
        raise SystemExit("protoc failed")


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, default=PROTO.parent)
    parser.add_argument("--release", action="store_true")
    arguments = parser.parse_args()
    generate(arguments.output)
    if arguments.release:
        release()


if __name__ == "__main__":
    main()

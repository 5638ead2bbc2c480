# SPDX-License-Identifier: Apache-2.0
"""The program in Go that kmodd-api(7) shows, compiled by Debian's compiler and packages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.manual import example
from tests.support.require import require

PROJECT = Path(__file__).parents[2]

PACKAGES = Path("/usr/share/gocode")
"""Where Debian has Go's packages, as sources."""

OLD_PROTOBUF = """\
package main

import (
    "google.golang.org/grpc/encoding"
    "google.golang.org/protobuf/proto"
)

type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(value interface{}) ([]byte, error) {
    return proto.Marshal(value.(proto.Message))
}

func (codec) Unmarshal(data []byte, value interface{}) error {
    return proto.Unmarshal(data, value.(proto.Message))
}

func init() { encoding.RegisterCodec(codec{}) }
"""
"""Debian 12's grpc reads messages with a library that is older than what its protoc makes: a codec
of the newer one takes its place."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's program, compiled."""
    go = require("go", "the example in Go needs golang-go")
    for tool in ("protoc-gen-go", "protoc-gen-go-grpc"):
        require(tool, f"the example in Go needs {tool}")
    grpc = PACKAGES / "src/google.golang.org/grpc"
    require(grpc.is_dir(), "the example in Go needs golang-google-grpc-dev")
    work = tmp_path_factory.mktemp("go")
    source = work / "src/loader"
    source.mkdir(parents=True)
    (source / "main.go").write_text(example("kmodd-api.7", "package main"))
    (source / "codec.go").write_text(OLD_PROTOBUF)
    protos = sorted(
        path.relative_to(PROJECT / "proto") for path in PROJECT.glob("proto/kmodd/v1/*")
    )
    outputs = (f"--go_out={work}/src", f"--go-grpc_out={work}/src")
    protoc = (sys.executable, "-m", "grpc_tools.protoc", "-I", str(PROJECT / "proto"))
    subprocess.run([*protoc, *outputs, *map(str, protos)], check=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(work),
        "GO111MODULE": "off",
        "GOPATH": f"{work}:{PACKAGES}",
        "GOFLAGS": "-ldflags=-s",
    }
    built = subprocess.run(
        [go, "build", "-o", str(work / "loader"), "loader"],
        env=environment,
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    shutil.rmtree(work / ".cache", ignore_errors=True)
    return work / "loader"


def test_it_loads_a_module_and_tells_why_it_cannot(program: Path, daemon: Daemon) -> None:
    def run(name: str) -> "subprocess.CompletedProcess[str]":
        words = [str(program), str(daemon.socket), name]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    loaded = run("world")
    assert (loaded.stdout, loaded.returncode) == ("loaded world [world]\n", 0), loaded.stderr
    failed = run("nosuch")
    assert failed.stderr.endswith(": MODULE_NOT_FOUND, errno 2\n")
    assert failed.returncode == 1
    with daemon.client() as client:
        assert [each.name for each in client.list_modules()] == ["world", "greet"]

# SPDX-License-Identifier: Apache-2.0
"""A call that is ended from outside: with its reason, and without where grpc has changed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from kmodd.errors import LimitError, Reason
from kmodd.service.cut_off import cut_off

ERROR = LimitError(Reason.READER_TOO_SLOW, "too slow")


class Bare:
    """A context of a grpc that keeps its call somewhere else."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self.cancel = context.cancel


@pytest.mark.parametrize(
    ("seen_as", "code"),
    [(lambda context: context, "RESOURCE_EXHAUSTED"), (Bare, "CANCELLED")],
    ids=["with its reason", "without"],
)
def test_a_call_is_ended_from_another_thread(tmp_path: Path, seen_as: Any, code: str) -> None:
    with ThreadPoolExecutor(4) as threads:

        def serve(_request: bytes, context: grpc.ServicerContext) -> Any:
            yield b"begun"
            threads.submit(cut_off, seen_as(context), ERROR)
            while context.is_active():
                yield b"more"

        handler = grpc.unary_stream_rpc_method_handler(serve)
        server = grpc.server(threads)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("test.Cut", {"Off": handler}),)
        )
        server.add_insecure_port(f"unix:{tmp_path}/s")
        server.start()
        with (
            grpc.insecure_channel(f"unix:{tmp_path}/s") as channel,
            pytest.raises(grpc.RpcError) as ended,
        ):
            list(channel.unary_stream("/test.Cut/Off")(b"", timeout=60))
        server.stop(None).wait()
    assert ended.value.code().name == code
    assert ("too slow" in ended.value.details()) is (code != "CANCELLED")

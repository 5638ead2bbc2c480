# SPDX-License-Identifier: Apache-2.0
"""Ends a call from outside its own thread: the one place that uses what grpc keeps to itself.

grpc offers cancel() for that, after which the client sees CANCELLED and learns of no reason. The
call beneath the context takes a status too, though no details, and sends it past what the client
has not read. The context has had it under this name since grpcio 1.0; where it has not any more,
the call is ended all the same, without the reason.
"""

import grpc

from kmodd.errors import KmoddError


def cut_off(context: grpc.ServicerContext, error: KmoddError) -> None:
    """End a call whose own thread is stuck in sending to who does not read; may be called twice."""
    try:
        call = context._rpc_event.call
    except AttributeError:
        context.cancel()
    else:
        call.cancel(grpc.StatusCode[error.status].value[0], error.message)

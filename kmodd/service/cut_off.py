# SPDX-License-Identifier: Apache-2.0
"""Ends a call from outside its own thread, with a reason."""

import grpc

from kmodd.errors import KmoddError
from kmodd.host.transport import cancel_call
from kmodd.service.fronted_call import FrontedCall


def cut_off(context: grpc.ServicerContext, error: KmoddError) -> None:
    """End a call whose own thread is stuck in sending to who does not read; may be called twice."""
    if isinstance(context, FrontedCall):
        context.cut_off(error)
    else:
        cancel_call(context, grpc.StatusCode[error.status].value[0], error.message)

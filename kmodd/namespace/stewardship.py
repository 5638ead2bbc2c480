# SPDX-License-Identifier: Apache-2.0
"""What a steward may wish for: the modules of its list, as a source of its own."""

from kmodd.access.caller import Role
from kmodd.access.rules import check_source, check_target, check_wished_parameters
from kmodd.desired.document import WishDocument
from kmodd.desired.wish import Wish
from kmodd.errors import AccessError, KmoddError
from kmodd.namespace.context import RequestContext
from kmodd.namespace.namespace import Namespace
from kmodd.plan import LoadRequest
from kmodd.records import replace


def check_wishes(namespace: Namespace, document: WishDocument, call: RequestContext) -> None:
    """Raise AccessError where who makes ``call`` may not apply ``document``.

    For what is to be loaded it is asked, too, what would come with it as things are: a module that
    is denied to the caller comes for no other.
    """
    if call.caller.role is Role.ADMIN:
        return
    check_source(call.caller, document.source)
    for wish in document.wishes:
        check_target(call.caller, wish.name)
        check_wished_parameters(call.caller, (f"{name}={each}" for name, each in wish.parameters))
        if wish.state.is_present:
            _check_load(namespace, wish, call)


def _check_load(namespace: Namespace, wish: Wish, call: RequestContext) -> None:
    request = LoadRequest(name=wish.name, is_module=True)
    try:
        error = namespace.load(request, replace(call, dry_run=True, assumed=())).error
    except KmoddError as raised:
        error = raised
    if isinstance(error, AccessError):
        raise error

# SPDX-License-Identifier: Apache-2.0
"""The signature check, which comes before all others (kernel/module/signing.c).

A signature is verified with the certificates that the kernel trusts; without its image and its
build there are none, and no signature is good.
"""

import errno
from collections.abc import Sequence

from kmodd.errors import Reason
from kmodd.kernel.base import InsertFlags
from kmodd.kernel.emulated.reporting.log import Level, Printk
from kmodd.kernel.emulated.reporting.refusal import Refusal
from kmodd.keys import Certificate, Verdicts, read_signers, unverified_algorithm, verify
from kmodd.modulefile.signature import MARKER
from kmodd.records import record

TRAILER_SIZE = 12
"""Bytes of ``struct module_signature`` (include/linux/module_signature.h)."""

_PKCS7 = 2
_MANGLING = InsertFlags.IGNORE_MODVERSIONS | InsertFlags.IGNORE_VERMAGIC

_REASONS = {
    errno.ENODATA: "unsigned module",
    errno.ENOPKG: "module with unsupported crypto",
    errno.ENOKEY: "module with unavailable key",
}
"""What can be tolerated as long as signatures are not enforced, in the kernel's words."""


_ERRORS = {
    Verdicts.GOOD: 0,
    Verdicts.UNKNOWN_KEY: errno.ENOKEY,
    Verdicts.UNSUPPORTED: errno.ENOPKG,
    Verdicts.REJECTED: errno.EKEYREJECTED,
}

_DAMAGED = "the appended signature is damaged"
_FATAL = {errno.EKEYREJECTED: "the appended signature is not of this module"}


@record
class SignatureState:
    """How many bytes of the image are the module proper, and whether its signature is good."""

    module_size: int
    good: bool


def check_signature(
    image: bytes,
    flags: InsertFlags,
    trusted: Sequence[Certificate],
    *,
    enforced: bool,
    printk: Printk,
) -> SignatureState:
    """Look at what is appended to ``image`` (module_sig_check).

    Raises Refusal: EBADMSG for a signature that is damaged, EKEYREJECTED for one that is not of
    this module, and on a kernel that enforces signatures for one that is not good.
    """
    size, problem = len(image), errno.ENODATA
    # With its version information taken away a module is no longer what was signed.
    if not flags & _MANGLING and len(image) > len(MARKER) and image.endswith(MARKER):
        size -= len(MARKER)
        size, problem = _verify(image, size, trusted, printk)
        if not problem:
            return SignatureState(size, good=True)
    reason = _REASONS.get(problem)
    if reason is None:
        raise Refusal(Reason.KERNEL_REFUSED, problem, _FATAL.get(problem, _DAMAGED))
    if enforced:
        why = f"Loading of {reason} is rejected"
        printk(Level.NOTICE, why)
        raise Refusal(Reason.KERNEL_REFUSED, errno.EKEYREJECTED, why)
    return SignatureState(size, good=False)


def _verify(
    image: bytes, size: int, trusted: Sequence[Certificate], printk: Printk
) -> tuple[int, int]:
    """Return the size of the module proper and 0, or an errno (mod_verify_sig, mod_check_sig)."""
    if size <= TRAILER_SIZE:
        return size, errno.EBADMSG
    trailer = image[size - TRAILER_SIZE : size]
    length = int.from_bytes(trailer[8:], "big")
    if length >= size - TRAILER_SIZE:
        return size, errno.EBADMSG
    if trailer[2] != _PKCS7:
        printk(Level.ERR, "module: not signed with expected PKCS#7 message")
        return size, errno.ENOPKG
    if any(trailer[:2]) or any(trailer[3:8]):
        printk(Level.ERR, "module: PKCS#7 signature info has unexpected non-zero params")
        return size, errno.EBADMSG
    module_size = size - TRAILER_SIZE - length
    try:
        signers = read_signers(image[module_size : module_size + length])
    except ValueError:
        return module_size, errno.EBADMSG
    for name in filter(None, map(unverified_algorithm, signers)):
        printk(Level.WARNING, f"kmodd does not verify {name}, which this module is signed with")
    if any(signer.has_attributes for signer in signers):
        printk(Level.WARNING, "PKCS7: Invalid module sig (has authattrs)")
    return module_size, _ERRORS[verify(image[:module_size], signers, trusted)]

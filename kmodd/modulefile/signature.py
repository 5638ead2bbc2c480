# SPDX-License-Identifier: Apache-2.0
"""The signature that ``sign-file`` appends to a module.

After the ELF file come the signer's name, a key id and the signature (the first two empty today),
then ``struct module_signature`` (include/linux/module_signature.h) with their lengths, then a
marker. The signature proper is a PKCS#7 message, which names signer and key itself.
"""

from __future__ import annotations

import struct

from kmodd.enums import Enum
from kmodd.errors import ModuleFileError
from kmodd.modulefile.pkcs7 import SignerInfo, read_signer
from kmodd.records import record
from kmodd.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kmodd.modulefile.image import Image

MARKER = b"~Module signature appended~\n"
"""What a signed module ends in (MODULE_SIG_STRING)."""

_TRAILER = struct.Struct(">5B3xI")

# enum pkey_hash_algo, which only signatures from before PKCS#7 (Linux 4.3) carry here.
_HASHES = ("md4", "md5", "sha1", "rmd160", "sha256", "sha384", "sha512", "sha224", "sm3")


class SignatureType(Enum):
    """What form a signature has (``enum pkey_id_type``), in modinfo's words."""

    PGP = "PGP"
    X509 = "X509"
    PKCS7 = "PKCS#7"
    UNKNOWN = "unknown"


_TYPES = (SignatureType.PGP, SignatureType.X509, SignatureType.PKCS7)


class Trailer(NamedTuple):
    """``struct module_signature`` as it stands in the file; lengths are in bytes."""

    algorithm: int
    hash: int
    id_type: int
    signer_length: int
    key_id_length: int
    signature_length: int


@record
class Signature:
    """An appended signature. Nothing here says whether it is good: the kernel's keys do.

    ``data`` is the signature as it was appended (nearly always a PKCS#7 message), and
    ``module_size`` the bytes of the file that it signs. ``signer``, ``key_id``,
    ``hash_algorithm`` and ``value`` are what modinfo(8) shows as signer, sig_key, sig_hashalgo
    and signature: empty, and the algorithm ``unknown``, where a message is not understood.
    """

    type: SignatureType
    trailer: Trailer
    module_size: int
    data: bytes
    signer: str
    key_id: bytes
    hash_algorithm: str
    value: bytes


def read_signature(image: Image) -> Signature | None:
    """Return the signature appended to ``image``, or None where the marker is not there.

    Raises ModuleFileError where the lengths in the trailer do not fit into the file.
    """
    if image.size < len(MARKER):
        return None
    end = image.size - len(MARKER)
    if image.read(end, len(MARKER)) != MARKER:
        return None
    end -= _TRAILER.size
    if end < 0:
        raise ModuleFileError(image.path, "the appended signature is cut short")
    trailer = Trailer._make(_TRAILER.unpack(image.read(end, _TRAILER.size)))
    signer_length, key_id_length, length = trailer[3:]
    module_size = end - signer_length - key_id_length - length
    if not length or module_size <= 0:
        raise ModuleFileError(image.path, f"an appended signature of {length} bytes")
    return _describe(trailer, module_size, image.read(module_size, end - module_size))


def _describe(trailer: Trailer, module_size: int, appended: bytes) -> Signature:
    """Return the signature whose three parts are ``appended``."""
    signer_end = trailer.signer_length
    key_id_end = signer_end + trailer.key_id_length
    data = appended[key_id_end:]
    kind = _TYPES[trailer.id_type] if trailer.id_type < len(_TYPES) else SignatureType.UNKNOWN
    if kind is SignatureType.PKCS7:
        found = read_signer(data) or SignerInfo("", b"", "unknown", b"")
    else:
        name = appended[:signer_end].decode("utf-8", "surrogateescape")
        algorithm = _HASHES[trailer.hash] if trailer.hash < len(_HASHES) else "unknown"
        found = SignerInfo(name, appended[signer_end:key_id_end], algorithm, data)
    return Signature(
        type=kind,
        trailer=trailer,
        module_size=module_size,
        data=data,
        signer=found.name,
        key_id=found.key_id,
        hash_algorithm=found.hash_algorithm,
        value=found.signature,
    )

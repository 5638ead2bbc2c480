# SPDX-License-Identifier: Apache-2.0
"""Transforms of data: their algorithms, and what is asked of them."""

from typing import Final

from kmodd.kernel.emulated.abi.structures.declaring import Structure, at, bytes_of


class _Shash(Structure, of="crypto_shash"):
    """``struct crypto_shash``"""

    descriptor_size: int = at(0, "descsize")
    flags: int = at(12, "base.crt_flags")
    algorithm: int = at(32, "base.__crt_alg")


class _ShashAlgorithm(Structure, of="shash_alg"):
    """``struct shash_alg``"""

    init: int = at(0)
    update: int = at(8)
    final: int = at(16)
    finup: int = at(24)
    digest: int = at(32)
    set_key: int = at(56, "setkey")
    descriptor_size: int = at(80, "descsize")
    digest_size: int = at(88, "digestsize", "halg.digestsize")
    base: int = at(96, "base", "halg.base")


class _ShashDescriptor(Structure, of="shash_desc"):
    """``struct shash_desc``"""

    transform: int = at(0, "tfm")


class _Ahash(Structure, of="crypto_ahash"):
    """``struct crypto_ahash``, which has functions of its own until 6.8"""

    init: int = at(0)
    update: int = at(8)
    final: int = at(16)
    finup: int = at(24)
    digest: int = at(32)
    set_key: int = at(56, "setkey")
    flags: int = at(76, "base.crt_flags")
    algorithm: int = at(96, "base.__crt_alg")
    base: int = at(72)


class _HashAlgorithm(Structure, of="hash_alg_common"):
    """``struct hash_alg_common``"""

    digest_size: int = at(0, "digestsize")
    base: int = at(8)


class _AhashRequest(Structure, of="ahash_request"):
    """``struct ahash_request``"""

    transform: int = at(32, "base.tfm")
    size: int = at(48, "nbytes")
    source: int = at(56, "src")
    result: int = at(64)


class _Skcipher(Structure, of="crypto_skcipher"):
    """``struct crypto_skcipher``"""

    flags: int = at(12, "base.crt_flags")
    algorithm: int = at(32, "base.__crt_alg")
    base: int = at(8)


class _SkcipherAlgorithm(Structure, of="skcipher_alg"):
    """``struct skcipher_alg``"""

    least_key: int = at(40, "min_keysize", "co.min_keysize")
    most_key: int = at(44, "max_keysize", "co.max_keysize")
    iv_size: int = at(48, "ivsize", "co.ivsize")
    base: int = at(64, "base", "co.base")


class _SkcipherRequest(Structure, of="skcipher_request"):
    """``struct skcipher_request``"""

    size: int = at(0, "cryptlen")
    iv: int = at(8)
    source: int = at(16, "src")
    target: int = at(24, "dst")
    transform: int = at(64, "base.tfm")


class _CryptoAlgorithm(Structure, of="crypto_alg"):
    """``struct crypto_alg``, which each kind of algorithm has as its base"""

    block_size: int = at(36, "cra_blocksize")
    name: int = at(56, "cra_name")
    driver_name: int = at(184, "cra_driver_name")
    name_size: int = bytes_of(128, "cra_name")


class _CryptoQueue(Structure, of="crypto_queue"):
    """``struct crypto_queue``"""

    length: int = at(24, "qlen")
    most: int = at(28, "max_qlen")


class _AesContext(Structure, of="crypto_aes_ctx"):
    """``struct crypto_aes_ctx``; its keys are expanded"""

    encrypting: int = at(0, "key_enc")
    decrypting: int = at(240, "key_dec")
    key_size: int = at(480, "key_length")


SHASH: Final = _Shash()
SHASH_ALGORITHM: Final = _ShashAlgorithm()
SHASH_DESCRIPTOR: Final = _ShashDescriptor()
AHASH: Final = _Ahash()
HASH_ALGORITHM: Final = _HashAlgorithm()
AHASH_REQUEST: Final = _AhashRequest()
SKCIPHER: Final = _Skcipher()
SKCIPHER_ALGORITHM: Final = _SkcipherAlgorithm()
SKCIPHER_REQUEST: Final = _SkcipherRequest()
CRYPTO_ALGORITHM: Final = _CryptoAlgorithm()
CRYPTO_QUEUE: Final = _CryptoQueue()
AES_CONTEXT: Final = _AesContext()

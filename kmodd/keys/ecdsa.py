# SPDX-License-Identifier: Apache-2.0
"""ECDSA on the curves that Linux verifies (FIPS 186-5, section 6.4.2; SP 800-186): P-256 to P-521.

Points are Jacobian: (X, Y, Z) is X/Z^2, Y/Z^3, and Z is 0 at infinity. A verification takes some
4 ms for P-384.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from kmodd.modulefile.der import INTEGER, SEQUENCE, first_element, inside

Point = tuple[int, int, int]

_INFINITY: Point = (0, 1, 0)
_UNCOMPRESSED = 4
_WINDOW = 4
"""Bits of a factor that are done at a time."""


class Curve(NamedTuple):
    """y^2 = x^3 - 3x + b modulo p, with a point G of the prime order n; ``size`` in bytes."""

    name: str
    p: int
    b: int
    n: int
    x: int
    y: int

    @property
    def size(self) -> int:
        """Bytes of a coordinate, and of a number below n."""
        return (self.p.bit_length() + 7) // 8


class EcKey(NamedTuple):
    """A public key: a point on its curve."""

    curve: Curve
    x: int
    y: int


P256 = Curve(
    "P-256",
    p=0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
    b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    n=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    x=0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    y=0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
P384 = Curve(
    "P-384",
    p=2**384 - 2**128 - 2**96 + 2**32 - 1,
    b=int(
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe814112"
        "0314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
        16,
    ),
    n=int(
        "ffffffffffffffffffffffffffffffffffffffffffffffff"
        "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        16,
    ),
    x=int(
        "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b98"
        "59f741e082542a385502f25dbf55296c3a545e3872760ab7",
        16,
    ),
    y=int(
        "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147c"
        "e9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        16,
    ),
)
P521 = Curve(
    "P-521",
    p=2**521 - 1,
    b=int(
        "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1"
        "56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
        16,
    ),
    n=int(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
    x=int(
        "00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dba"
        "a14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
        16,
    ),
    y=int(
        "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c"
        "97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
        16,
    ),
)


def read_ec_key(curve: Curve, point: bytes) -> EcKey:
    """Return the key that a certificate has as a point (SEC 1, section 2.3.4).

    Raises ValueError for one that is compressed, as Linux does, or not on the curve.
    """
    if len(point) != 1 + 2 * curve.size or point[0] != _UNCOMPRESSED:
        raise ValueError(f"a point of {len(point)} bytes on {curve.name}")
    x = int.from_bytes(point[1 : 1 + curve.size], "big")
    y = int.from_bytes(point[1 + curve.size :], "big")
    if x >= curve.p or y >= curve.p or (y * y - x * x * x + 3 * x - curve.b) % curve.p:
        raise ValueError(f"a point that is not on {curve.name}")
    return EcKey(curve, x, y)


def ecdsa_verifies(key: EcKey, signature: bytes, digest: bytes) -> bool:
    """Tell whether ``signature`` is the key's under ``digest``, of which the first bits count."""
    curve = key.curve
    try:
        r, s = read_pair(signature, curve.size)
    except ValueError:
        return False
    if not 0 < r < curve.n or not 0 < s < curve.n:
        return False
    number = int.from_bytes(digest, "big")
    number >>= max(8 * len(digest) - curve.n.bit_length(), 0)
    inverse = pow(s, -1, curve.n)
    x, _, z = _sum_of_multiples(key, number * inverse % curve.n, r * inverse % curve.n)
    return z != 0 and x * pow(z, -2, curve.p) % curve.p % curve.n == r


def read_pair(signature: bytes, size: int) -> tuple[int, int]:
    """Return r and s of a signature (RFC 3279, section 2.2.3); raises ValueError.

    As Linux has it: what is behind them counts for nothing, and each is without a sign, of at most
    ``size`` bytes and one zero before them.
    """
    numbers = inside(first_element(signature), SEQUENCE)
    if len(numbers) != 2:
        raise ValueError(f"{len(numbers)} numbers where two were due")
    found = []
    for tag, contents in numbers:
        if tag != INTEGER or len(contents.removeprefix(b"\0")) > size:
            raise ValueError("a number that is none, or too large")
        found.append(int.from_bytes(contents, "big"))
    return found[0], found[1]


def _sum_of_multiples(key: EcKey, of_g: int, of_key: int) -> Point:
    """Return ``of_g`` times G plus ``of_key`` times the key, both factors read from the top."""
    curve = key.curve
    tables = (_multiples(curve, curve.x, curve.y), _multiples(curve, key.x, key.y))
    total = _INFINITY
    for digits in zip(_digits(of_g, curve), _digits(of_key, curve), strict=True):
        for _ in range(_WINDOW):
            total = _double(total, curve.p)
        for digit, table in zip(digits, tables, strict=True):
            if digit:
                total = _add(total, table[digit], curve.p)
    return total


def _digits(factor: int, curve: Curve) -> Iterator[int]:
    for shift in reversed(range(0, curve.n.bit_length(), _WINDOW)):
        yield factor >> shift & ((1 << _WINDOW) - 1)


@lru_cache(maxsize=16)
def _multiples(curve: Curve, x: int, y: int) -> tuple[Point, ...]:
    """Return 0 to 15 times a point."""
    table = [_INFINITY]
    for _ in range((1 << _WINDOW) - 1):
        table.append(_add(table[-1], (x, y, 1), curve.p))
    return tuple(table)


def _double(point: Point, p: int) -> Point:
    x, y, z = point
    if not y or not z:
        return _INFINITY
    delta, gamma = z * z % p, y * y % p
    beta = x * gamma % p
    alpha = 3 * (x - delta) * (x + delta) % p
    new_x = (alpha * alpha - 8 * beta) % p
    new_z = 2 * y * z % p
    return new_x, (alpha * (4 * beta - new_x) - 8 * gamma * gamma) % p, new_z


def _add(one: Point, other: Point, p: int) -> Point:
    x1, y1, z1 = one
    x2, y2, z2 = other
    if not z1:
        return other
    if not z2:
        return one
    square1, square2 = z1 * z1 % p, z2 * z2 % p
    u1, u2 = x1 * square2 % p, x2 * square1 % p
    s1, s2 = y1 * z2 * square2 % p, y2 * z1 * square1 % p
    if u1 == u2:
        return _double(one, p) if s1 == s2 else _INFINITY
    across, along = u2 - u1, s2 - s1
    square = across * across % p
    cube = across * square % p
    middle = u1 * square % p
    x3 = (along * along - cube - 2 * middle) % p
    return x3, (along * (middle - x3) - s1 * cube) % p, across * z1 * z2 % p

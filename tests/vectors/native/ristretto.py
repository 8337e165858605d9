"""Ristretto255 as RFC 9496 §4 has it, on edwards25519 in extended coordinates (RFC 8032 §5.1.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
SQRT_M1: Final = pow(2, (P - 1) // 4, P)


def negative(x: int) -> bool:
    return x % P % 2 == 1


def magnitude(x: int) -> int:
    return -x % P if negative(x) else x % P


def root_of_ratio(u: int, v: int) -> tuple[bool, int]:
    """Whether u/v is a square, and the non-negative root of u/v, or else of u·i/v (§4.2)."""
    root = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    check = v * root * root % P
    correct, flipped, flipped_i = check == u % P, check == -u % P, check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        root = root * SQRT_M1 % P
    return correct or flipped, magnitude(root)


def odd_root(square: int) -> int:
    """The root whose sign the RFC's constants have."""
    _, root = root_of_ratio(square, 1)
    return -root % P


SQRT_AD_MINUS_ONE: Final = odd_root(-D - 1)
INVSQRT_A_MINUS_D: Final = root_of_ratio(1, -1 - D)[1]


@dataclass(frozen=True)
class Point:
    x: int
    y: int
    z: int
    t: int

    def __add__(self, other: Point) -> Point:
        a = (self.y - self.x) * (other.y - other.x) % P
        b = (self.y + self.x) * (other.y + other.x) % P
        c = 2 * self.t * other.t * D % P
        d = 2 * self.z * other.z % P
        e, f, g, h = b - a, d - c, d + c, b + a
        return Point(e * f % P, g * h % P, f * g % P, e * h % P)

    def __neg__(self) -> Point:
        return Point(-self.x % P, self.y, self.z, -self.t % P)

    def __rmul__(self, scalar: int) -> Point:
        result = IDENTITY
        for bit in reversed(range(scalar.bit_length())):
            result += result
            if scalar >> bit & 1:
                result += self
        return result

    def encode(self) -> bytes:
        """§4.3.2."""
        u1 = (self.z + self.y) * (self.z - self.y) % P
        u2 = self.x * self.y % P
        _, inverse = root_of_ratio(1, u1 * u2 * u2)
        den1, den2 = inverse * u1 % P, inverse * u2 % P
        z_inverse = den1 * den2 * self.t % P
        x, y, den = self.x, self.y, den2
        if negative(self.t * z_inverse):
            x, y, den = y * SQRT_M1 % P, x * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
        if negative(x * z_inverse):
            y = -y % P
        return magnitude(den * (self.z - y)).to_bytes(32, "little")


IDENTITY: Final = Point(0, 1, 1, 0)


def decode(encoding: bytes) -> Point:
    """§4.3.1; raises ValueError for what is no encoding of a point."""
    s = int.from_bytes(encoding, "little")
    if s >= P or negative(s):
        raise ValueError("no encoding")
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inverse = root_of_ratio(1, v * u2 * u2)
    den_x = inverse * u2 % P
    den_y = inverse * den_x * v % P
    x, y = magnitude(2 * s * den_x), u1 * den_y % P
    if not square or negative(x * y) or y == 0:
        raise ValueError("no encoding")
    return Point(x, y, 1, x * y % P)


def _map(half: bytes) -> Point:
    """MAP of §4.3.4."""
    t = int.from_bytes(half, "little") % 2**255 % P
    r = SQRT_M1 * t * t % P
    u = (r + 1) * (1 - D * D) % P
    v = (-1 - r * D) * (r + D) % P
    square, s = root_of_ratio(u, v)
    c = -1
    if not square:
        s, c = -magnitude(s * t) % P, r
    n = (c * (r - 1) * (D - 1) * (D - 1) - v) % P
    w0, w1 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P
    w2, w3 = (1 - s * s) % P, (1 + s * s) % P
    return Point(w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P)


def from_uniform(text: bytes) -> Point:
    """The point of 64 bytes (§4.3.4)."""
    return _map(text[:32]) + _map(text[32:])


GENERATOR: Final = decode(
    bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
)

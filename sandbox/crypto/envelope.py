"""Our envelope around TenSEAL's bytes, and what is checked before TenSEAL may parse them.

TenSEAL trusts what it reads: a vector without sizes crashes it, a context's flags make it generate
hundreds of megabytes of keys, other parameters decrypt to noise, some of SEAL's headers abort the
process. So a context or ciphertext must first be, byte by byte, the one form that this menu's rings
write, and SEAL reads what is rebuilt from the checked parts:

    MAGIC, header length (4 bytes, big-endian), header (canonical JSON), TenSEAL messages

with the header {kind, ring, sizes} for a context and {kind, ring, length, context, sizes} for a
vector.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sandbox.crypto.identity import Document, canonical, parse
from sandbox.crypto.rings import CHECK_SLOTS, Ring, ring_named
from sandbox.errors import TrustError

MAGIC = b"fedsandbox-bfv-1"
_MAX_HEADER = 1 << 20
_MAX_SIZE = {"context": 1 << 21, "vector": 1 << 30}

# SEAL: magic 0xA15E, header of 16 bytes, version, compression 2 (zstd), reserved, size of the
# whole.
_SEAL_HEADER = struct.Struct("<HBBBBHQ")
_SEAL_MAGIC, _SEAL_MAJOR, _SEAL_PLAIN, _SEAL_ZSTD = 0xA15E, 4, 0, 2
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Behind the 32 bytes that name the parameters: transformed, polynomials, degree, primes, scale,
# correction factor; then a plain header and the number of coefficients.
_SEAL_SHAPE = struct.Struct("<?QQQdQ")
_PARAMETERS_ID = 32
_SEAL_OVERHEAD = _PARAMETERS_ID + _SEAL_SHAPE.size + _SEAL_HEADER.size + 8
"""Bytes that SEAL writes around the coefficients of a ciphertext or public key, uncompressed."""

# Protobuf wire types (encoding specification, "Message structure").
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_PARAMETERS, _PUBLIC, _PRIVATE, _ENCRYPTION_TYPE = 1, 2, 3, 4
_PUBLIC_KEY, _AUTO_FLAGS, _SCALE, _RELIN_KEYS, _GALOIS_KEYS = 1, 2, 3, 4, 5
_PUBLIC_TAIL = b"\x10\x07\x19" + struct.pack("<d", -1.0)
"""auto_flags = 7 and scale = -1, which TenSEAL writes for every BFV context."""


@dataclass(frozen=True)
class Envelope:
    """A header and the TenSEAL messages behind it, of the right number and sizes."""

    header: Document
    parts: tuple[bytes, ...]


def digest(envelope: bytes) -> str:
    """Return the SHA-256 (hex) of its bytes, by which jobs and statements name an envelope."""
    return hashlib.sha256(envelope).hexdigest()


def pack(header: Document, parts: Sequence[bytes]) -> bytes:
    """Return the envelope of `parts`."""
    text = canonical({**header, "sizes": [len(part) for part in parts]})
    return b"".join([MAGIC, len(text).to_bytes(4, "big"), text, *parts])


def unpack(envelope: bytes, kind: str) -> Envelope:
    """Split an envelope of `kind`; raises TrustError for anything that `pack` does not write."""
    start = len(MAGIC) + 4
    if len(envelope) > _MAX_SIZE[kind] or not envelope.startswith(MAGIC) or len(envelope) < start:
        raise TrustError("SB-3050", kind=kind)
    size = int.from_bytes(envelope[len(MAGIC) : start], "big")
    if size > _MAX_HEADER or start + size > len(envelope):
        raise TrustError("SB-3050", kind=kind)
    header = parse(envelope[start : start + size])
    sizes = header.pop("sizes", None)
    if header.get("kind") != kind or not isinstance(sizes, list):
        raise TrustError("SB-3050", kind=kind)
    if not all(type(item) is int and item > 0 for item in sizes):
        raise TrustError("SB-3050", kind=kind)
    if start + size + sum(sizes) != len(envelope):
        raise TrustError("SB-3050", kind=kind)
    parts, position = [], start + size
    for item in sizes:
        parts.append(envelope[position : position + item])
        position += item
    return Envelope(header, tuple(parts))


def pack_context(ring: Ring, contexts: Sequence[bytes]) -> bytes:
    """Return the envelope of a result key's public contexts, one for each plain modulus."""
    return pack({"kind": "context", "ring": ring.name}, contexts)


def context_message(parameters: bytes, public_key: bytes) -> bytes:
    """Return the only TenSEAL context that is accepted: parameters and a public key."""
    public = _field(_PUBLIC_KEY, public_key) + _PUBLIC_TAIL
    return _field(_PARAMETERS, parameters) + _field(_PUBLIC, public)


def unpack_context(envelope: bytes, ring: Ring, parameters: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return an envelope's contexts, safe to parse. `parameters`: SEAL's bytes for each modulus.

    Raises TrustError naming a secret key, key-generation flags, evaluation keys, other parameters.
    """
    opened = unpack(envelope, "context")
    if opened.header != {"kind": "context", "ring": ring.name}:
        raise TrustError("SB-3051", expected=ring.name, found=str(opened.header.get("ring")))
    if len(opened.parts) != len(parameters):
        raise TrustError("SB-3050", kind="context")
    return tuple(
        _checked_context(part, ring, expected)
        for part, expected in zip(opened.parts, parameters, strict=True)
    )


def public_key_of(context: bytes) -> bytes:
    """Return the SEAL public key inside a TenSEAL context, whatever else is in it."""
    for number, kind, value in _fields(context):
        if (number, kind) == (_PUBLIC, _BYTES):
            for inner, inner_kind, key in _fields(value):
                if (inner, inner_kind) == (_PUBLIC_KEY, _BYTES):
                    return key
    raise TrustError("SB-3055")


def parameters_of(context: bytes) -> bytes:
    """Return the SEAL encryption parameters inside a TenSEAL context."""
    for number, kind, value in _fields(context):
        if (number, kind) == (_PARAMETERS, _BYTES):
            return value
    raise TrustError("SB-3055")


def pack_vector(ring: Ring, length: int, context: str, ciphertexts: Sequence[bytes]) -> bytes:
    """Return the envelope of a vector's SEAL ciphertexts, modulus by modulus, chunk by chunk."""
    header = {"kind": "vector", "ring": ring.name, "length": length, "context": context}
    return pack(header, ciphertexts)


def unpack_vector(envelope: bytes, ring: Ring, length: int, context: str) -> list[list[bytes]]:
    """Return TenSEAL's vectors in an envelope, safe to parse: one list for each plain modulus.

    Raises TrustError unless ring, length and context digest are those expected and every part is
    one ciphertext of this ring over exactly its chunk's slots.
    """
    opened = unpack(envelope, "vector")
    expected = {"kind": "vector", "ring": ring.name, "length": length, "context": context}
    for key, value in expected.items():
        if opened.header.get(key) != value:
            raise TrustError(
                "SB-3056", key=key, expected=str(value), found=str(opened.header.get(key))[:80]
            )
    slots = [size + CHECK_SLOTS for size in ring.chunk_sizes(length)]
    count = len(slots)
    if len(opened.header) != len(expected) or len(opened.parts) != count * len(ring.plain_moduli):
        raise TrustError("SB-3050", kind="vector")
    parts = [
        _checked_vector(part, ring, slots[index % count]) for index, part in enumerate(opened.parts)
    ]
    return [parts[row : row + count] for row in range(0, len(parts), count)]


def vector_ring(envelope: bytes) -> tuple[Ring, int, str]:
    """Return (ring, length, context digest) that a vector's envelope claims."""
    header = unpack(envelope, "vector").header
    length, context = header.get("length"), header.get("context")
    if type(length) is not int or not isinstance(context, str):
        raise TrustError("SB-3050", kind="vector")
    return ring_named(str(header.get("ring"))), length, context


def _checked_context(context: bytes, ring: Ring, parameters: bytes) -> bytes:
    found = {(number, kind): value for number, kind, value in _fields(context)}
    if any(number == _PRIVATE for number, _ in found):
        _refuse_private(found)
    if any(number == _ENCRYPTION_TYPE for number, _ in found):
        raise TrustError("SB-3055")
    if found.get((_PARAMETERS, _BYTES)) != parameters:
        raise TrustError("SB-3054", ring=ring.name)
    inner = [number for number, _, _ in _fields(found.get((_PUBLIC, _BYTES), b""))]
    if _RELIN_KEYS in inner or _GALOIS_KEYS in inner:
        raise TrustError("SB-3053")
    key = public_key_of(context)
    if context != context_message(parameters, key):
        raise TrustError("SB-3055")
    return context_message(parameters, _checked_seal(key, ring, len(ring.coeff_mod_bit_sizes)))


def _refuse_private(found: dict[tuple[int, int], bytes]) -> None:
    private = found.get((_PRIVATE, _BYTES), b"")
    holds_key = any(number == 1 for number, _, _ in _fields(private))
    raise TrustError("SB-3052" if holds_key else "SB-3053")


def _checked_vector(vector: bytes, ring: Ring, slots: int) -> bytes:
    # Exactly one size and one ciphertext, in the order TenSEAL writes them.
    head = _field(1, _varint(slots))
    fields = _fields(vector)
    if [(number, kind) for number, kind, _ in fields] != [(1, _BYTES), (2, _BYTES)]:
        raise TrustError("SB-3057", slots=slots)
    ciphertext = fields[1][2]
    if vector != head + _field(2, ciphertext):
        raise TrustError("SB-3057", slots=slots)
    primes = len(ring.coeff_mod_bit_sizes) - 1  # the last prime is for keys alone
    return head + _field(2, _checked_seal(ciphertext, ring, primes))


def _checked_seal(item: bytes, ring: Ring, primes: int) -> bytes:
    """Return a SEAL object of two polynomials as SEAL writes it uncompressed.

    Its header, shape and unpacked size are the only ones there are, and it is no shorter than its
    entropy; that its coefficients are below the primes is left to SEAL.
    """
    coefficients = 2 * ring.poly_modulus_degree * primes
    bits = sum(ring.coeff_mod_bit_sizes[:primes])
    content = 8 * coefficients + _SEAL_OVERHEAD
    least = 2 * ring.poly_modulus_degree * bits // 8 * 99 // 100
    if not least <= len(item) <= content + 1024:
        raise TrustError("SB-3058", ring=ring.name)
    version = item[3:5]
    if (
        version[0] != _SEAL_MAJOR
        or item[: _SEAL_HEADER.size] != _seal_header(version, _SEAL_ZSTD, len(item))
        or _zstd_content_size(item[_SEAL_HEADER.size :]) != content
    ):
        raise TrustError("SB-3058", ring=ring.name)
    plain = _decompressed(item[_SEAL_HEADER.size :], content, ring)
    # A public key's polynomials are kept transformed, a ciphertext's are not.
    is_key = primes == len(ring.coeff_mod_bit_sizes)
    shape = _SEAL_SHAPE.pack(is_key, 2, ring.poly_modulus_degree, primes, 1.0, 1)
    inner = _seal_header(version, _SEAL_PLAIN, _SEAL_HEADER.size + 8 + 8 * coefficients)
    expected = shape + inner + coefficients.to_bytes(8, "little")
    if plain[_PARAMETERS_ID:_SEAL_OVERHEAD] != expected:
        raise TrustError("SB-3058", ring=ring.name)
    return _seal_header(version, _SEAL_PLAIN, _SEAL_HEADER.size + content) + plain


def _seal_header(version: bytes, compression: int, size: int) -> bytes:
    return _SEAL_HEADER.pack(_SEAL_MAGIC, _SEAL_HEADER.size, *version, compression, 0, size)


def _decompressed(frame: bytes, size: int, ring: Ring) -> bytes:
    import pyarrow

    try:
        return bytes(pyarrow.Codec("zstd").decompress(frame, decompressed_size=size, asbytes=True))
    except (OSError, ValueError) as error:
        raise TrustError("SB-3058", ring=ring.name) from error


def _zstd_content_size(frame: bytes) -> int | None:
    """Return the size a zstd frame declares for its content (RFC 8878, section 3.1.1.1), if any."""
    descriptor = frame[4]
    single, flag = descriptor >> 5 & 1, descriptor >> 6
    width = {0: single, 1: 2, 2: 4, 3: 8}[flag]
    if frame[:4] != _ZSTD_MAGIC or descriptor & 0b1011 or not width:
        return None
    start = 5 if single else 6
    return int.from_bytes(frame[start : start + width], "little") + (256 if flag == 1 else 0)


def _fields(message: bytes) -> list[tuple[int, int, bytes]]:
    """Return a protobuf message's (number, wire type, raw value); each number may occur once."""
    found = list(_walk(message))
    if len({number for number, _, _ in found}) != len(found):
        raise TrustError("SB-3055")
    return found


def _walk(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            end = _read_varint(message, position)[1]
        elif kind == _FIXED64:
            end = position + 8
        elif kind == _BYTES:
            size, position = _read_varint(message, position)
            end = position + size
        else:
            raise TrustError("SB-3055")
        if end > len(message):
            raise TrustError("SB-3055")
        yield number, kind, message[position:end]
        position = end


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise TrustError("SB-3055")


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _BYTES]) + _varint(len(value)) + value

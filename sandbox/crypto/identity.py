"""Who is who, and what they signed: Ed25519 identities over canonical JSON documents.

Every party makes its own keys; a fingerprint is the only thing another party ever pins. A document
is canonical JSON, so that a signature can be checked years later from the text alone. Signatures
are Ed25519 (RFC 8032) over `fedsandbox/v1/KIND NUL BODY`: a signature for one kind never serves
another.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sandbox.errors import InputError, StateError, TrustError

Document = dict[str, Any]
"""A JSON object of integers, strings, booleans, nulls, lists and objects; never a float."""

DOMAIN = b"fedsandbox/v1/"
KEY_FILE = "identity.key"
PUBLIC_FILE = "identity.json"
_FINGERPRINT = r"fs1[a-z2-7]{32}"
_NAME = re.compile(rf"(?!{_FINGERPRINT}\Z)[a-z0-9]([a-z0-9-]{{0,38}}[a-z0-9])?")
"""Never the form of a fingerprint: a policy that names one would be about the party called so."""
_KIND = re.compile(r"[a-z0-9-]{1,40}")
_PEM_END = re.compile(
    rb"(?<=-----END PRIVATE KEY-----\n)|(?<=-----END ENCRYPTED PRIVATE KEY-----\n)"
)
PASSPHRASE_MIN = 12
"""Characters of the shortest passphrase that a new key is encrypted under."""


class Role(StrEnum):
    """What a party is."""

    COORDINATOR = "coordinator"
    NODE = "node"
    RESEARCHER = "researcher"
    SUPERVISOR = "supervisor"
    OWNER = "owner"


def canonical(document: object) -> bytes:
    """Return the one UTF-8 JSON text of a document: sorted keys, no spaces, integers only.

    Raises TypeError for a float or anything else that has no single text.
    """
    _only_exact(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8")


def parse(body: bytes) -> Document:
    """Return the object that `body` is the canonical text of; raises TrustError if it is none."""
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
        if isinstance(document, dict) and canonical(document) == body:
            return document
    except (ValueError, TypeError, RecursionError) as error:
        raise TrustError("SB-3001") from error
    raise TrustError("SB-3001")


def document_digest(kind: str, body: bytes) -> str:
    """Return the SHA-256 (hex) that names a document of `kind` with text `body`."""
    return hashlib.sha256(_message(kind, body)).hexdigest()


@dataclass(frozen=True)
class Signed:
    """A document of one `kind`, the fingerprint of who signed it, and the Ed25519 signature."""

    kind: str
    body: bytes
    signer: str
    signature: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what was signed: the name by which other documents mention this one."""
        return document_digest(self.kind, self.body)

    def to_document(self) -> Document:
        """Return it as a JSON object; the body stays readable text."""
        return {
            "kind": self.kind,
            "body": self.body.decode("utf-8"),
            "signer": self.signer,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Signed:
        """Read `to_document`'s object; raises TrustError where it is none. Verifies nothing."""
        try:
            kind, body, signer, signature = (
                document[key] for key in ("kind", "body", "signer", "signature")
            )
            return cls(str(kind), body.encode("utf-8"), str(signer), bytes.fromhex(signature))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TrustError("SB-3002") from error


@dataclass(frozen=True)
class PublicIdentity:
    """A party as others know it. Keys are 32 raw bytes: Ed25519 to sign, X25519 to seal to."""

    name: str
    role: Role
    signing_key: bytes
    agreement_key: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError("SB-3003", name=self.name)
        if len(self.signing_key) != 32 or len(self.agreement_key) != 32:
            raise InputError("SB-3004", name=self.name)

    @cached_property
    def fingerprint(self) -> str:
        """160 bits of SHA-256 over name, role and both keys: "fs1" and 32 base32 characters."""
        digest = hashlib.sha256(_message("identity", canonical(self.to_document()))).digest()
        return "fs1" + base64.b32encode(digest[:20]).decode().lower()

    def to_document(self) -> Document:
        """Return it as a JSON object."""
        return {
            "name": self.name,
            "role": self.role.value,
            "signing_key": self.signing_key.hex(),
            "agreement_key": self.agreement_key.hex(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> PublicIdentity:
        """Read `to_document`'s object; raises InputError where it is none."""
        try:
            name, role, signing, agreement = (
                document[key] for key in ("name", "role", "signing_key", "agreement_key")
            )
            keys = bytes.fromhex(signing), bytes.fromhex(agreement)
            return cls(str(name), Role(role), *keys)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("SB-3005") from error


@dataclass(frozen=True)
class Identity:
    """A party with its private keys, which never leave its folder."""

    public: PublicIdentity
    _signing: Ed25519PrivateKey = field(repr=False, compare=False)
    agreement: X25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls, name: str, role: Role) -> Identity:
        """Make new keys from the operating system's randomness."""
        return cls._of(name, role, Ed25519PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def _of(
        cls, name: str, role: Role, signing: Ed25519PrivateKey, agreement: X25519PrivateKey
    ) -> Identity:
        keys = signing.public_key().public_bytes_raw(), agreement.public_key().public_bytes_raw()
        return cls(PublicIdentity(name, role, *keys), signing, agreement)

    def sign(self, kind: str, body: Mapping[str, Any]) -> Signed:
        """Sign a document of `kind`."""
        return self.sign_bytes(kind, canonical(body))

    def sign_bytes(self, kind: str, body: bytes) -> Signed:
        """Sign the canonical text `body` of a document of `kind`."""
        return Signed(kind, body, self.public.fingerprint, self._signing.sign(_message(kind, body)))

    def save(self, directory: Path, passphrase: str | None = None) -> None:
        """Write identity.json and identity.key (0600); raises StateError where a key exists.

        passphrase: encrypts the key; InputError SB-3256 if it is shorter than PASSPHRASE_MIN.
        """
        if passphrase is not None and len(passphrase) < PASSPHRASE_MIN:
            raise InputError("SB-3256", least=PASSPHRASE_MIN)
        directory.mkdir(parents=True, exist_ok=True)
        encryption = (
            NoEncryption()
            if passphrase is None
            else BestAvailableEncryption(_stretched(passphrase, self.public))
        )
        pem = b"".join(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
            for key in (self._signing, self.agreement)
        )
        write_secret(directory / KEY_FILE, pem)
        text = json.dumps(self.public.to_document(), indent=2) + "\n"
        (directory / PUBLIC_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, passphrase: str | None = None) -> Identity:
        """Read what `save` wrote; raises StateError if damaged, TrustError if others can read.

        A key that is encrypted opens with its passphrase alone, one that is not with none alone:
        TrustError SB-3257 otherwise.
        """
        public = load_public(directory)
        pem = read_secret(directory / KEY_FILE)
        if (b"ENCRYPTED" in pem) != (passphrase is not None):
            raise TrustError("SB-3257", path=str(directory / KEY_FILE))
        password = None if passphrase is None else _stretched(passphrase, public)
        try:
            first, second, _ = _PEM_END.split(pem)
            signing = load_pem_private_key(first, password)
            agreement = load_pem_private_key(second, password)
        except (ValueError, TypeError) as error:
            if passphrase is not None:
                raise TrustError("SB-3257", path=str(directory / KEY_FILE)) from None
            raise StateError("SB-3006", path=str(directory / KEY_FILE)) from error
        if not isinstance(signing, Ed25519PrivateKey) or not isinstance(
            agreement, X25519PrivateKey
        ):
            raise StateError("SB-3006", path=str(directory / KEY_FILE))
        identity = cls._of(public.name, public.role, signing, agreement)
        if identity.public != public:
            raise StateError("SB-3007", path=str(directory))
        return identity


def _stretched(passphrase: str, public: PublicIdentity) -> bytes:
    """Return the password of a key's PKCS#8 file: PKCS#8 here hashes 2,048 times only, so scrypt
    (RFC 7914; 32 MiB, 0.1 s) comes first, salted with the identity's fingerprint."""
    salt = DOMAIN + b"key-file\0" + public.fingerprint.encode()
    key = Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(passphrase.encode("utf-8"))
    return key.hex().encode()


def load_public(directory: Path) -> PublicIdentity:
    """Read a folder's identity.json; raises StateError if it is missing or damaged."""
    path = directory / PUBLIC_FILE
    try:
        return PublicIdentity.from_document(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, InputError) as error:
        raise StateError("SB-3006", path=str(path)) from error


def verify(signed: Signed, by: PublicIdentity, kind: str) -> Document:
    """Return the body that `by` signed as `kind`; raises TrustError if it did not."""
    if signed.kind != kind:
        raise TrustError("SB-3010", expected=kind, found=signed.kind)
    if signed.signer != by.fingerprint:
        raise TrustError("SB-3011", kind=kind, expected=by.fingerprint, found=signed.signer)
    key = Ed25519PublicKey.from_public_bytes(by.signing_key)
    try:
        key.verify(signed.signature, _message(kind, signed.body))
    except InvalidSignature as error:
        raise TrustError("SB-3012", kind=kind, name=by.name) from error
    return parse(signed.body)


def write_secret(path: Path, content: bytes) -> None:
    """Create a file that only its owner can read; raises StateError if it exists already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise StateError("SB-3008", path=str(path)) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path) -> bytes:
    """Read a private file; raises TrustError if others may too, StateError if it is missing."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise TrustError("SB-3009", path=str(path))
            return file.read()
    except OSError as error:
        raise StateError("SB-3006", path=str(path)) from error


def _message(kind: str, body: bytes) -> bytes:
    if not _KIND.fullmatch(kind):
        raise TrustError("SB-3010", expected="a-z, 0-9, -", found=kind)
    return DOMAIN + kind.encode() + b"\0" + body


def _only_exact(value: object) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError("a document's keys are strings")
            _only_exact(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _only_exact(item)
    else:
        raise TypeError(f"{type(value).__name__} has no single text in a document")


def _unique(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key occurs twice")
    return document

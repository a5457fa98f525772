"""Anchors: a ledger's sealed roots, signed, to be kept where the database's owner cannot reach.

An anchor is a text, a signed checkpoint as transparency logs write them (C2SP tlog-checkpoint and
signed-note), with what we add in extension lines:

    kairon/main                                      the ledger
    602                                              entries covered
    7vBf…=                                           root of the entries, base64
    keys 600 Lx0d…= 2025-07-13T12:00:00+00:00        keys covered, their root, and before when
    seal 11 2025-07-13T12:00:10+00:00                the seal's number, and when it was made

    — accounting oD3F…=                              key's name, its id and the signature

The signature is Ed25519 (RFC 8032) over the text up to and with the newline before the empty line.
A key's id is the first 4 bytes of SHA-256(name, newline, 0x01, public key); the last line holds id
and signature, in base64. A public key file has one line, `name+id+base64(0x01, public key)`, and a
private one `PRIVATE+KEY+name+id+base64(0x01, seed)`.
"""

import base64
import binascii
import re
from datetime import datetime
from hashlib import sha256
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

KEY_NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}"
_ORIGIN = "kairon/"
_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_KEY_LINE = re.compile(rf"({KEY_NAME_PATTERN})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/=]+)")


class BadAnchor(Exception):
    """The anchor or the key cannot be read, or the signature is not the key's; a sentence."""


class Anchor(NamedTuple):
    """What a seal says of both trees of a ledger."""

    ledger: str
    seal: int
    entries_size: int
    entries_root: bytes
    keys_size: int
    keys_root: bytes
    keys_before: datetime
    sealed_at: datetime

    def tree(self, name: Literal["entries", "keys"]) -> tuple[int, bytes]:
        """Return size and root of a tree."""
        if name == "entries":
            return self.entries_size, self.entries_root
        return self.keys_size, self.keys_root


class PublicKey(NamedTuple):
    """Who vouches for anchors."""

    name: str
    key: Ed25519PublicKey

    @property
    def id(self) -> bytes:
        return _key_id(self.name, self.key.public_bytes_raw())


class PrivateKey(NamedTuple):
    """Who signs anchors."""

    name: str
    key: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.name, self.key.public_key())


def generate_key(name: str) -> PrivateKey:
    """Return a new key of this name. Raises BadAnchor where the name does not fit into a line."""
    if not re.fullmatch(KEY_NAME_PATTERN, name):
        raise BadAnchor(f"A key cannot have the name {name!r}: letters, digits and ._/- only")
    return PrivateKey(name, Ed25519PrivateKey.generate())


def public_key_text(key: PublicKey) -> str:
    """Return the line of a public key file."""
    return _key_line(key, key.key.public_bytes_raw())


def private_key_text(key: PrivateKey) -> str:
    """Return the line of a private key file."""
    return _PRIVATE + _key_line(key.public, key.key.private_bytes_raw())


def read_public_key(text: str) -> PublicKey:
    """Return what `public_key_text` has written. Raises BadAnchor."""
    name, key_id, data = _parse_key(text.strip())
    return _checked(PublicKey(name, Ed25519PublicKey.from_public_bytes(data)), key_id)


def read_private_key(text: str) -> PrivateKey:
    """Return what `private_key_text` has written. Raises BadAnchor."""
    if not text.startswith(_PRIVATE):
        raise BadAnchor("This is not a private key")
    name, key_id, data = _parse_key(text.strip().removeprefix(_PRIVATE))
    key = PrivateKey(name, Ed25519PrivateKey.from_private_bytes(data))
    _checked(key.public, key_id)
    return key


def sign(anchor: Anchor, key: PrivateKey) -> str:
    """Return the text of the anchor, signed."""
    text = (
        f"{_ORIGIN}{anchor.ledger}\n"
        f"{anchor.entries_size}\n"
        f"{_base64(anchor.entries_root)}\n"
        f"keys {anchor.keys_size} {_base64(anchor.keys_root)} {anchor.keys_before.isoformat()}\n"
        f"seal {anchor.seal} {anchor.sealed_at.isoformat()}\n"
    )
    signature = _base64(key.public.id + key.key.sign(text.encode()))
    return f"{text}\n— {key.name} {signature}\n"


def read_anchor(text: str, key: PublicKey) -> Anchor:
    """Return what the anchor says once its signature is found to be the key's. Raises BadAnchor."""
    signed, empty, signatures = text.rpartition("\n\n")
    if not empty:
        raise BadAnchor("This is not an anchor")
    signed += "\n"
    for line in signatures.splitlines():
        mark, _, rest = line.partition(" ")
        name, _, packed = rest.partition(" ")
        if mark == "—" and name == key.name and _is_signed(signed, packed, key):
            return _parse_anchor(signed)
    raise BadAnchor(f"The anchor is not signed by the key {key.name}, or was changed")


def _is_signed(signed: str, packed: str, key: PublicKey) -> bool:
    data = _bytes_of(packed)
    if data[:4] != key.id:
        return False
    try:
        key.key.verify(data[4:], signed.encode())
    except InvalidSignature:
        return False
    return True


def _parse_anchor(signed: str) -> Anchor:
    try:
        origin, size, root, keys, seal = signed.splitlines()
        keys_word, keys_size, keys_root, keys_before = keys.split(" ")
        seal_word, number, sealed_at = seal.split(" ")
        if (keys_word, seal_word) != ("keys", "seal") or not origin.startswith(_ORIGIN):
            raise ValueError(signed)
        return Anchor(
            origin.removeprefix(_ORIGIN),
            int(number),
            int(size),
            _bytes_of(root),
            int(keys_size),
            _bytes_of(keys_root),
            datetime.fromisoformat(keys_before),
            datetime.fromisoformat(sealed_at),
        )
    except ValueError as error:
        raise BadAnchor("The anchor is signed, but not written as one of a ledger") from error


def _parse_key(line: str) -> tuple[str, bytes, bytes]:
    found = _KEY_LINE.fullmatch(line)
    data = b"" if found is None else _bytes_of(found[3])
    if found is None or len(data) != 33 or data[:1] != _ED25519:
        raise BadAnchor("This is not an Ed25519 key as `ledger keygen` writes them")
    return found[1], bytes.fromhex(found[2]), data[1:]


def _checked(key: PublicKey, key_id: bytes) -> PublicKey:
    if key.id != key_id:
        raise BadAnchor(f"The key {key.name} does not have the id that stands beside it")
    return key


def _key_line(key: PublicKey, data: bytes) -> str:
    return f"{key.name}+{key.id.hex()}+{_base64(_ED25519 + data)}"


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadAnchor(f"{text[:20]}… is not base64") from error

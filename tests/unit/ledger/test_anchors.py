"""Anchors: written as transparency logs write checkpoints, and read only with the right key."""

import base64
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger_service.trust.anchors import (
    Anchor,
    BadAnchor,
    PrivateKey,
    generate_key,
    private_key_text,
    public_key_text,
    read_anchor,
    read_private_key,
    read_public_key,
    sign,
)

AT = datetime(2025, 7, 13, 12, tzinfo=UTC)
ANCHOR = Anchor("main", 11, 602, b"e" * 32, 600, b"k" * 32, AT, AT)
KEY = PrivateKey("accounting", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def test_an_anchor_is_written_as_documented_and_read_again() -> None:
    text = sign(ANCHOR, KEY)
    root = base64.b64encode(b"e" * 32).decode()
    assert text.splitlines()[:6] == [
        "kairon/main",
        "602",
        root,
        f"keys 600 {base64.b64encode(b'k' * 32).decode()} 2025-07-13T12:00:00+00:00",
        "seal 11 2025-07-13T12:00:00+00:00",
        "",
    ]
    assert text.splitlines()[6].startswith("— accounting ")
    assert read_anchor(text, KEY.public) == ANCHOR


def test_the_signature_is_plain_ed25519_behind_the_keys_id() -> None:
    text = sign(ANCHOR, KEY)
    packed = base64.b64decode(text.rsplit(" ", 1)[1])
    public = KEY.key.public_key()
    marked = b"accounting\n\x01" + public.public_bytes_raw()
    assert packed[:4] == sha256(marked).digest()[:4]
    public.verify(packed[4:], text[: text.index("\n\n") + 1].encode())


def test_another_signature_beside_ours_does_no_harm() -> None:
    text = sign(ANCHOR, KEY)
    body, signature = text.split("\n\n")
    witness = sign(ANCHOR, generate_key("witness")).split("\n\n")[1]
    assert read_anchor(f"{body}\n\n{witness}{signature}", KEY.public) == ANCHOR


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("602", "601"),
        ("kairon/main", "kairon/other"),
        ("keys 600", "keys 599"),
        ("seal 11", "seal 12"),
        ("ZWVl", "ZWVm"),
        ("12:00", "13:00"),
        ("— accounting", "— somebody"),
        ("\n\n", "\n"),
    ],
)
def test_what_was_changed_is_not_read(old: str, new: str) -> None:
    with pytest.raises(BadAnchor):
        read_anchor(sign(ANCHOR, KEY).replace(old, new, 1), KEY.public)


def test_who_did_not_sign_is_not_believed() -> None:
    with pytest.raises(BadAnchor, match="not signed by the key accounting"):
        read_anchor(sign(ANCHOR, generate_key("accounting")), KEY.public)


def test_a_signed_text_that_is_no_anchor() -> None:
    text = "kairon/main\n602\n"
    packed = base64.b64encode(KEY.public.id + KEY.key.sign(text.encode())).decode()
    with pytest.raises(BadAnchor, match="not written as one of a ledger"):
        read_anchor(f"{text}\n— accounting {packed}\n", KEY.public)


def test_keys_are_written_and_read() -> None:
    private, public = private_key_text(KEY), public_key_text(KEY.public)
    assert read_private_key(private + "\n").key.private_bytes_raw() == bytes(range(32))
    assert read_public_key(public + "\n").id == KEY.public.id
    assert public.startswith(f"accounting+{KEY.public.id.hex()}+")
    assert private.startswith("PRIVATE+KEY+accounting+")


@pytest.mark.parametrize(
    "text",
    ["", "accounting", "accounting+00000000+AQ==", "accounting+00000000+AAAA", "a+0+*"],
)
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(BadAnchor):
        read_public_key(text)
    with pytest.raises(BadAnchor):
        read_private_key("PRIVATE+KEY+" + text)


def test_keys_whose_id_or_name_was_changed() -> None:
    public = public_key_text(KEY.public)
    with pytest.raises(BadAnchor, match="does not have the id"):
        read_public_key(public.replace("accounting", "accountant"))
    with pytest.raises(BadAnchor, match="not a private key"):
        read_private_key(public)
    with pytest.raises(BadAnchor, match="cannot have the name"):
        generate_key("two words")

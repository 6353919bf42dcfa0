"""Keys and signatures of the league's server: Ed25519 (RFC 8032), from the package cryptography (extra [league])."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.league.entry import Part

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["PRIVATE", "PUBLIC", "Signed", "holds", "key_id", "make", "own_file", "private", "public", "sign"]

PRIVATE, PUBLIC = "league.key", "league.pub"


class Signed(Part):
    """A text and its signature. body: the text that is signed, byte for byte. signature: in hex. key: the id of the key."""

    body: str
    signature: str
    key: str


def key_id(public: Ed25519PublicKey) -> str:
    """By which a key is told from others: the start of the hash of its 32 bytes."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def sign(body: str, key: Ed25519PrivateKey) -> Signed:
    """Sign a text."""
    return Signed(body=body, signature=key.sign(body.encode()).hex(), key=key_id(key.public_key()))


def holds(signed: Signed, public: Ed25519PublicKey) -> bool:
    """Was this signed with the private part of this key?"""
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(bytes.fromhex(signed.signature), signed.body.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def make(folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Make a pair of keys in a folder: the private one, which only its owner may read, and the public one.

    Raises:
        ValueError: the folder is inside a repository, where a key would be committed. FileExistsError: there is a key already.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = Path(folder).resolve()
    if (inside := next((each for each in (path, *path.parents) if (each / ".git").exists()), None)) is not None:
        raise ValueError(f"Expected a folder outside any repository, where no key is ever committed, but {path} is inside {inside}.")
    path.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    own_file(path / PRIVATE, secret, f"Expected no key in {path}, but there is one. What it signed is checked with it: keep it.")
    (path / PUBLIC).write_text(key.public_key().public_bytes_raw().hex() + "\n")
    return path / PRIVATE, path / PUBLIC


def own_file(path: str | os.PathLike[str], content: bytes, taken: str) -> None:
    """Write a new file that only its owner may read. taken: what is said where there is one. Raises: FileExistsError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FileExistsError(taken) from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def private(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        FileNotFoundError, ValueError: there is none, others may read it, or it is no Ed25519 key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    where = Path(path)
    if not where.is_file():
        raise FileNotFoundError(f"Expected a private key at {path}, but there is no such file. Make one: blackbox league keys FOLDER")
    if os.name == "posix" and where.stat().st_mode & 0o077:
        raise ValueError(f"Expected that only its owner may read the key {path}, but others may. Run: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(where.read_bytes(), None)
    except (ValueError, TypeError):
        key = None  # type: ignore[assignment]
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"Expected {path} to be a private Ed25519 key, written by blackbox league keys, but it is not.")
    return key


def public(path: str | os.PathLike[str]) -> Ed25519PublicKey:
    """Read a public key. Raises: FileNotFoundError, ValueError; there is none, or it is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    where = Path(path)
    if not where.is_file():
        raise FileNotFoundError(f"Expected a public key at {path}, but there is no such file. The host of the league publishes it.")
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(where.read_text().strip()))
    except (ValueError, UnicodeDecodeError):
        raise ValueError(f"Expected {path} to be a public key, 64 hexadecimal digits, but it is not. Give {PUBLIC}.") from None

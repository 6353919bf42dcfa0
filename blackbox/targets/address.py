"""Checks addresses of endpoints: this machine, or one that the user says is theirs."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name or number means this machine, without a DNS query."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def address(url: str, own_endpoint: bool) -> tuple[bool, tuple[str, int], str]:
    """Split ``http://localhost:8765/a/`` into whether it is https, (host, port), and path.

    Raises:
        ValueError: an invalid address, one with a password, or another machine's that is not declared the user's own.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"Expected an address such as http://127.0.0.1:8765, but it was {url!r}: {error}.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"Expected an address such as http://127.0.0.1:8765, but it was {url!r}.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Expected an address without a password, which would be saved with the results. Use headers=.")
    host = parts.hostname
    if not is_loopback(host):
        if not own_endpoint:
            raise ValueError(
                f"Expected an endpoint on this machine (127.0.0.1), but {host} is elsewhere. If it is yours, or you were asked to "
                "test it, say so: own_endpoint=True, on the command line --own-endpoint, in a study own_endpoint = true."
            )
    elif host.lower() == "localhost":
        host = _local_number(host)
    return parts.scheme == "https", (host, port or (443 if parts.scheme == "https" else 80)), parts.path.rstrip("/")


def _local_number(name: str) -> str:
    """The number of ``localhost``, which a hosts file may have redirected."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, socket.AF_INET)]
    except OSError:
        found = ["127.0.0.1"]
    if not all(is_loopback(number) for number in found):
        raise ValueError(f"Expected localhost to be this machine, but it is {found[0]} here. Give 127.0.0.1.")
    return found[0]

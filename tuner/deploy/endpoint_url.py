"""The address of an endpoint, and whether it may be loaded."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult

from tuner.addresses import address_parts
from tuner.errors import InputError, SetupError

_LIKE = "give one such as http://127.0.0.1:8501/v1/models/m:predict"


@dataclass(frozen=True)
class EndpointUrl:
    """A checked URL. `address` is where its host was found: nobody looks it up again."""

    text: str
    secure: bool
    host: str
    address: tuple[str, int]
    target: str
    """What a request line has: path and query."""

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        return ipaddress.ip_address(self.address[0]).is_loopback

    @property
    def header(self) -> str:
        """What the header `Host` has."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.secure else 80
        return host if self.address[1] == usual else f"{host}:{self.address[1]}"


def endpoint_url(text: str, *, may_load: bool = False) -> EndpointUrl:
    """The URL, its host looked up.

    Raises InputError for a text that is no such URL, and for an address that is not loopback,
    unless `may_load` says that it may be loaded. Raises SetupError where the host is not found.
    """
    parts, port = _parts(text)
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SetupError(f"{text}: the host {host!r} is not found: {error}", _LIKE) from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not may_load and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            raise InputError(
                f"{text} is at {address}, which is not this machine (loopback)",
                "a load test can harm a service and its users: if it is yours, or you may load it,"
                " say --i-may-load-this",
            )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return EndpointUrl(text, parts.scheme == "https", host, (addresses[0], port), target)


def _parts(text: str) -> tuple[SplitResult, int]:
    parts = address_parts(text)
    if parts is None:
        shown = text.rpartition("@")[2]  # what may be a password is not shown
        raise InputError(f"{shown} is no URL: its host or its port is none", _LIKE)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    wrong = (
        "it begins with neither http:// nor https://"
        if parts.scheme not in {"http", "https"}
        else "it has no host"
        if not parts.hostname
        else "it has a user or a password, which would be printed and stored"
        if "@" in parts.netloc
        else "it has a fragment (#), which no request has"
        if parts.fragment
        else "it has characters that a request line cannot have"
        if not text.isascii() or not text.isprintable() or " " in text
        else ""
    )
    if wrong:
        shown = text.replace(parts.netloc, parts.netloc.rpartition("@")[2])
        raise InputError(f"{shown} cannot be loaded: {wrong}", _LIKE)
    return parts, port

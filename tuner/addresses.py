"""Addresses as people write them: `scheme://[user@]host[:port][/path]`."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def address_parts(address: str) -> SplitResult | None:
    """The parts of an address, port included; None for a text that is none.

    Such a text has brackets around what is no IPv6 address, or a port that is no number.
    """
    try:
        parts = urlsplit(address)
        _ = parts.port  # it is read only when it is asked for
    except ValueError:
        return None
    return parts

"""What of a storage's URL may be printed, stored and copied."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlencode

from tuner.errors import InputError

_SHOWN = ("host", "port", "user", "dbname", "service", "sslmode", "unix_socket", "charset")
"""Settings in a query that are no secret. Drivers take passwords and keys there too."""

_USER = re.compile(r"[\w.%+~-]+")
_SHORTEST = 3
"""Characters of a part of a password that is looked for in a text."""


def without_password(url: str) -> str:
    """The URL without a password, wherever in it that is; a database finds it in another way.

    Also of a URL that no library can read. A file's has none.
    """
    scheme, separator, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        return url
    if not separator:
        return url.rpartition("@")[2]
    who, at, where = rest.rpartition("@")
    user = who.partition(":")[0]
    place, _, query = where.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name in _SHOWN]
    named = f"{user}{at}" if _USER.fullmatch(user) else ""
    return f"{scheme}://{named}{place}{'?' if kept else ''}{urlencode(kept, safe='/:')}"


def check_password(url: str) -> None:
    """Raises InputError for a password that a library would take for a part of the host's name.

    Its driver would then say it.
    """
    _, _, rest = url.partition("://")
    if not url.startswith("sqlite") and rest.partition("?")[0].count("@") > 1:
        raise InputError(
            f"the password of the storage {without_password(url)} has an @",
            "write %40 for it, or leave the password to PGPASSWORD or ~/.pgpass",
        )


def without_secrets_of(url: str, text: str) -> str:
    """`text`, such as the message of a driver, without any part of the URL's password."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(url: str) -> set[str]:
    """What is in the URL and not in what may be shown, in the pieces that a library may cut."""
    if url.startswith("sqlite"):
        return set()
    hidden = _pieces(url) | _pieces(unquote(url))
    return {piece for piece in hidden - _pieces(without_password(url)) if len(piece) >= _SHORTEST}


def _pieces(text: str) -> set[str]:
    return set(re.split(r"[:/@?&=\s]+", text))

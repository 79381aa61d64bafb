"""Makes names that Kubernetes and Docker accept, and comments of one line each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from tuner.errors import InputError
from tuner.spec.problems import short_text

_LONGEST_LABEL = 63
_LONGEST_NAME = 53

_LONGEST_PART = 40
"""Characters. It leaves room for a suffix within the 63 of a DNS label."""

_HASH_DIGITS = 8


def dns_label(text: str) -> str:
    """A DNS-1123 label for `text`: at most 49 of a-z, 0-9 and `-`, a letter first.

    Services need the letter. A label that differs from `text` ends with a hash of `text`, so that
    different names stay different.
    """
    return _fitted(text, r"[a-z](?:[a-z0-9-]*[a-z0-9])?", r"[^a-z0-9]+")


def check_deployed_name(text: str) -> str:
    """`text` itself. Raises InputError where an export cannot have that name in every format.

    It is a DNS-1123 label that begins with a letter, as the name of a Service does, and is short
    enough for a release of Helm and for what KServe adds to it.
    """
    if len(text) > _LONGEST_NAME or re.fullmatch(r"[a-z](?:[a-z0-9-]*[a-z0-9])?", text) is None:
        raise InputError(
            f"--name {short_text(text)} is not a DNS-1123 label that begins with a letter",
            f"use at most {_LONGEST_NAME} small letters, digits and -, but no - at the end",
        )
    return text


def check_namespace(text: str) -> str:
    """`text` itself. Raises InputError where Kubernetes has no namespace of that name."""
    if len(text) > _LONGEST_LABEL or re.fullmatch(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", text) is None:
        raise InputError(
            f"--namespace {short_text(text)} is not a DNS-1123 label",
            f"use at most {_LONGEST_LABEL} small letters, digits and -, but no - at an end",
        )
    return text


def docker_name(text: str) -> str:
    """The same for containers, networks and compose services, which also take `_` and `.`."""
    return _fitted(text, r"[a-z0-9][a-z0-9_.-]*", r"[^a-z0-9_.-]+")


def _fitted(text: str, allowed: str, other: str) -> str:
    if len(text) <= _LONGEST_PART and re.fullmatch(allowed, text):
        return text
    readable = re.sub(other, "-", text.lower()).strip("-_.0123456789")[:_LONGEST_PART]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{readable.rstrip('-_.') or 'x'}-{digest}"


def comments(lines: Iterable[str]) -> str:
    """`lines` as comments with `#`. Each becomes one line, so that no line break ends a comment."""
    return "".join(f"# {one_line(line)}".rstrip() + "\n" for line in lines)


def one_line(text: str) -> str:
    """`text` without line breaks and control characters, including those of Unicode (NEL, LS)."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

"""One request as it is sent. The load engine reads this module too, so it imports little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

JSON: Mapping[str, str] = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Call:
    """A request of HTTP/1.1, or of gRPC.

    In gRPC `path` is that of the method, and all calls of a burst have the same one; `body` is the
    message as it is, `method` and `headers` do not matter. `status` is that of a right answer.
    """

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    status: int = 200

"""Frames and header blocks of HTTP/2 (RFC 9113, RFC 7541), as a client of gRPC needs them. Pure.

Requests differ only in their content, so their header block is made once. Responses cannot refer to
earlier ones, because this client's header table has no room. So each header block is decoded once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0,
    1,
    3,
    4,
    6,
    7,
    8,
    9,
)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20

HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5

DEFAULT_TABLE, DEFAULT_WINDOW, DEFAULT_FRAME = 4096, 2**16 - 1, 2**14
LARGEST_NUMBER = 2**31 - 1
"""The largest window and the largest number of a stream."""

CANCEL = 0x8

_HEAD = struct.Struct("!BHBBI")
_SETTING = struct.Struct("!HI")
_STATIC_FIELDS = 61
_MOST_CACHED = 1000


class ProtocolError(ValueError):
    """The peer sent something that is not HTTP/2."""


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def split_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """The complete frames at the start of `data`, and the rest.

    Raises ProtocolError for a frame longer than this client allows.
    """
    frames, at, end = [], 0, len(data)
    while end - at >= _HEAD.size:
        high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
        if high << 16 | low > DEFAULT_FRAME:
            raise ProtocolError("a frame that is too long")
        start = at + _HEAD.size
        if end - start < low:
            break
        at = start + low
        frames.append(Frame(kind, flags, stream & LARGEST_NUMBER, data[start:at]))
    return frames, data[at:]


def frame_content(frame: Frame) -> bytes:
    """The payload of DATA or HEADERS without padding and priority. Raises ProtocolError."""
    payload = frame.payload
    if not frame.flags & (PADDED | PRIORITY):
        return payload
    padding = 0
    if frame.flags & PADDED:
        if not payload or payload[0] >= len(payload):
            raise ProtocolError("a frame with more padding than it is long")
        padding, payload = payload[0], payload[1:]
    payload = payload[: len(payload) - padding]
    return payload[5:] if frame.kind == HEADERS and frame.flags & PRIORITY else payload


def settings_frame(values: Mapping[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Raises ProtocolError."""
    if len(payload) % _SETTING.size:
        raise ProtocolError("settings of a wrong length")
    yield from _SETTING.iter_unpack(payload)


def number_at(payload: bytes, at: int = 0) -> int:
    """The 31-bit number at `at`. Raises ProtocolError."""
    if len(payload) < at + 4:
        raise ProtocolError("a frame that is too short")
    return int.from_bytes(payload[at : at + 4], "big") & LARGEST_NUMBER


class RequestHead(NamedTuple):
    """The header block of every request of a connection.

    `first` enters its fields into the peer's table, `later` refers to them there, `always` needs no
    table.
    """

    first: bytes
    later: bytes
    always: bytes


def request_head(fields: Sequence[tuple[str, str]]) -> RequestHead:
    """`fields` as header blocks: at most 60, which fit into a table of 4096 bytes."""
    pairs = [_string(name) + _string(value) for name, value in fields]
    newest = _STATIC_FIELDS + len(pairs)
    return RequestHead(
        # Literal with incremental indexing, indexed, without indexing: RFC 7541, section 6.
        first=b"".join(b"\x40" + pair for pair in pairs),
        later=bytes(0x80 | (newest - n) for n in range(len(pairs))),
        # A peer that made its table smaller must empty it first.
        always=b"\x20" + b"".join(b"\x00" + pair for pair in pairs),
    )


def _string(text: str) -> bytes:
    data = text.encode("ascii")
    return _integer(len(data)) + data


def _integer(value: int) -> bytes:
    """An integer with a prefix of 7 bits (RFC 7541, section 5.1)."""
    if value < 0x7F:
        return bytes((value,))
    encoded = bytearray((0x7F,))
    value -= 0x7F
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class Statuses:
    """Reads (HTTP status, gRPC status) from header blocks; None for a status that is missing."""

    def __init__(self) -> None:
        self._cached: dict[bytes, tuple[int | None, int | None]] = {}

    def read(self, block: bytes) -> tuple[int | None, int | None]:
        """Raises ProtocolError."""
        statuses = self._cached.get(block)
        if statuses is None:
            if len(self._cached) >= _MOST_CACHED:  # a field that always differs, such as a date
                self._cached.clear()
            statuses = self._cached[block] = _statuses(block)
        return statuses


def _statuses(block: bytes) -> tuple[int | None, int | None]:
    from hpack import Decoder  # noqa: PLC0415 -- an engine that speaks REST does without it
    from hpack.exceptions import HPACKError  # noqa: PLC0415

    decoder = Decoder()
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        fields = {bytes(name): bytes(value) for name, value in decoder.decode(block, raw=True)}
        http, grpc = (fields.get(name) for name in (b":status", b"grpc-status"))
        return (None if http is None else int(http), None if grpc is None else int(grpc))
    except (HPACKError, ValueError) as error:
        raise ProtocolError(f"a header block that cannot be read: {error}") from error

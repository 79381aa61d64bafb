"""The messages between the load generator and its engine, over a socket pair.

The load generator first sends one frame, the `Setup`. Then it sends commands, each a line of JSON:
`follow` stages, and at last `STOP`. The engine sends only frames: `connected`, one `tick` per tick,
and at last `ended`; or `failed`. A frame is two lengths, a JSON header and a binary payload. Times
are those of CLOCK_MONOTONIC, which is one clock for all processes of a machine. This module does
without NumPy, so that the engine starts quickly.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tuner.serving.servers.call import Call

STOP = b'{"command": "stop"}\n'

# The codes of `tuner.measure.samples.RequestOutcome` that the engine uses.
OK, HTTP_ERROR, TIMEOUT, RESET, NOT_SENT = 0, 1, 2, 3, 5

COLUMNS = {
    "start_ns": "q",
    "delay_ns": "q",
    "duration_ns": "q",
    "status": "h",
    "outcome": "b",
    "connection": "i",
    "request": "i",
}
"""Columns of a tick's requests with their type codes (of `array` and of NumPy)."""

_LENGTHS = struct.Struct("!II")


@dataclass(frozen=True)
class Setup:
    """What the engine sends, to which addresses, and from where.

    Connection i goes to address i modulo the number of addresses. `protocol` and `arrivals` are
    keys of the engine's tables; `arrivals` may also be `closed`, or `trace`, which has `gaps`,
    one before each call. `namespace` is the path of the network namespace that it enters, `cpus`
    the CPUs that it runs on, empty for any. `calls` has one request per input.

    It describes the load of all `senders` together. This engine is number `sender` of them, and
    sends its part (`tuner.load.division`).
    """

    addresses: tuple[tuple[str, int], ...]
    concurrency: int
    protocol: str
    arrivals: str
    namespace: str | None
    cpus: tuple[int, ...]
    host: str
    seed: int
    tick_seconds: float
    timeout_seconds: float
    calls: tuple[Call, ...]
    gaps: tuple[float, ...] = ()
    any_server: bool = False
    """Whether the server may be of any kind (`tuner.load.any_server`)."""
    tls_name: str | None = None
    """The name in the server's certificate; None where connections are not secured."""
    tls_ca: str | None = None
    """The certificates (PEM) of who signed it; None for the authorities that the system trusts."""
    most_rps: float | None = None
    """A closed loop sends no more requests per second."""
    sender: int = 0
    senders: int = 1

    def encode(self) -> bytes:
        bodies = [call.body for call in self.calls]
        calls = [asdict(call) | {"body": len(call.body)} for call in self.calls]
        return encode_frame(asdict(self) | {"calls": calls}, b"".join(bodies))

    @classmethod
    def decode(cls, header: dict[str, Any], payload: bytes) -> Setup:
        addresses = tuple((host, port) for host, port in header["addresses"])
        bodies = cut(payload, [call["body"] for call in header["calls"]])
        calls = tuple(
            Call(**call | {"body": body})
            for call, body in zip(header["calls"], bodies, strict=True)
        )
        lists = {key: tuple(header[key]) for key in ("cpus", "gaps")}
        return cls(**header | lists | {"addresses": addresses, "calls": calls})


def follow_command(stages: Iterable[tuple[float, float, float]], at_ns: int) -> bytes:
    """The command to go through stages (seconds, level at the start, level at the end) from `at_ns`
    on.

    After them the last level stays. The first such command starts the load, and the ticks, which
    come at even intervals from then on. The first tick at or after the `at_ns` of a later command
    says `began`.
    """
    command = {"command": "follow", "at": at_ns, "stages": list(stages)}
    return json.dumps(command).encode() + b"\n"


def encode_frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return _LENGTHS.pack(len(text), len(payload)) + text + payload


def receive_frame(sock: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next frame. Raises EOFError if the other side is gone, TimeoutError after the timeout."""
    text, payload = _LENGTHS.unpack(_exactly(sock, _LENGTHS.size))
    return json.loads(_exactly(sock, text)), _exactly(sock, payload)


def cut(payload: bytes, lengths: list[int]) -> list[bytes]:
    """`payload` in pieces of these lengths."""
    pieces, at = [], 0
    for length in lengths:
        pieces.append(payload[at : at + length])
        at += length
    return pieces


def _exactly(sock: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        try:
            piece = sock.recv(min(size - len(pieces), 1 << 20))
        except ConnectionError as error:
            raise EOFError from error
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)

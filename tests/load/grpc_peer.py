"""A server of gRPC on loopback that does what it is told, and bursts against it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import hpack

from tests.load.loopback import QUICK, Place, Server
from tuner.load import http2
from tuner.load.grpc import framed, unframed
from tuner.load.load_client import CheckAnswer
from tuner.load.sender import LoadGenerator
from tuner.measure.samples import Burst
from tuner.serving.servers.call import Call
from tuner.spec.study import LoadProfile, LoadSpec

MESSAGES = (b"one", b"twenty-two", b"three hundred")
PATH = "/tensorflow.serving.PredictionService/Predict"

# :status 200 indexed, then literals without indexing.
HEAD = b"\x88" + b"\x00\x0ccontent-type\x10application/grpc"
TRAILERS = b"\x00\x0bgrpc-status\x01%d"

Answer = Callable[[int, int], bytes | None]
"""The frames that answer request number n of the server's life on a stream.

None resets the connection; no frames leave the request waiting.
"""


def head(stream: int, block: bytes = HEAD, flags: int = http2.END_HEADERS) -> bytes:
    return http2.frame(http2.HEADERS, flags, stream, block)


def trailers(stream: int, code: int = 0) -> bytes:
    return head(stream, TRAILERS % code, http2.END_HEADERS | http2.END_STREAM)


def answer(stream: int, message: bytes = b"answer", code: int = 0) -> bytes:
    """A whole answer; the message goes in frames of the default size."""
    data, size = framed(message), http2.DEFAULT_FRAME
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    frames = [http2.frame(http2.DATA, 0, stream, piece) for piece in pieces]
    return b"".join([head(stream), *frames, trailers(stream, code)])


@dataclass
class Peer(Server):
    """`bodies` are the messages that came whole.

    It gives room again for what it has taken, and counts DATA for which it had given none.
    """

    call: Answer = lambda _n, stream: answer(stream)
    settings: dict[int, int] = field(default_factory=dict)
    heads: list[list[tuple[str, str]]] = field(default_factory=list)
    frames: Counter[int] = field(default_factory=Counter)
    overruns: int = 0
    acknowledged: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open_now.add(writer)
        try:
            assert await reader.readexactly(len(http2.PREFACE)) == http2.PREFACE
            writer.write(http2.settings_frame(self.settings))
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open_now.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = hpack.Decoder()
        decoder.max_allowed_table_size = self.settings.get(http2.HEADER_TABLE_SIZE, 4096)
        initial = self.settings.get(http2.INITIAL_WINDOW_SIZE, http2.DEFAULT_WINDOW)
        room, rooms = http2.DEFAULT_WINDOW, dict[int, int]()
        messages: dict[int, bytes] = {}
        held = b""
        while data := await reader.read(1 << 16):
            frames, held = http2.split_frames(held + data)
            for frame in frames:
                self.frames[frame.kind] += 1
                if frame.kind == http2.HEADERS:
                    fields = decoder.decode(frame.payload)
                    self.heads.append([(str(name), str(value)) for name, value in fields])
                    rooms[frame.stream], messages[frame.stream] = initial, b""
                if frame.kind == http2.PING:
                    self.acknowledged.append(frame.payload)
                if frame.kind != http2.DATA or frame.stream not in messages:
                    continue
                size = len(frame.payload)
                room, rooms[frame.stream] = room - size, rooms[frame.stream] - size
                self.overruns += room < 0 or rooms[frame.stream] < 0
                messages[frame.stream] += frame.payload
                if frame.flags & http2.END_STREAM:
                    del rooms[frame.stream]
                    number = len(self.bodies)
                    self.bodies.append(unframed(messages.pop(frame.stream)))
                    await asyncio.sleep(self.seconds)
                    reply = self.call(number, frame.stream)
                    if reply is None:
                        writer.transport.abort()
                        return
                    writer.write(reply)
                elif size:
                    rooms[frame.stream] += size
                    writer.write(_window(frame.stream, size))
                if size:
                    room += size
                    writer.write(_window(0, size))


def _window(stream: int, size: int) -> bytes:
    return http2.frame(http2.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def send_grpc(
    target: Place,
    concurrency: int = 4,
    spec: LoadSpec = QUICK,
    messages: Sequence[bytes] = MESSAGES,
    check: CheckAnswer | None = None,
    rate: float | None = None,
) -> Burst:
    profile = LoadProfile(concurrency, spec, seed=7, rate_rps=rate, protocol="grpc")
    calls = [Call("/tensorflow.serving.PredictionService/Predict", m) for m in messages]
    with LoadGenerator().connect(target, profile, calls, check=check) as client:
        return client.run()

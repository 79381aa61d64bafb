"""An HTTP/1.1 server that does nothing but answer: what the load engine is calibrated against.

It runs inside a container, as `python3 -c <this text> <port>`, so it knows the standard library
only; where the image has uvloop it is five times as fast. It reads a request's head and as many
bytes of body as `Content-Length` says, and answers every request alike.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from typing import cast

BODY = b'{"predictions":[0.0]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
BACKLOG = 4096


class Connection(asyncio.Protocol):
    """One keep-alive connection; `held` are the bytes of a request that is not whole yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is no subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.held = bytearray()
        self.needed = 0

    def data_received(self, data: bytes) -> None:
        self.held += data
        while len(self.held) >= self.needed:
            if not self.needed:
                end = self.held.find(b"\r\n\r\n")
                if end < 0:
                    return
                self.needed = end + 4 + content_length(bytes(self.held[:end]))
                continue
            del self.held[: self.needed]
            self.needed = 0
            self.transport.write(ANSWER)


def content_length(head: bytes) -> int:
    """Bytes of the body that follows; 0 where the head does not say."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    # All interfaces: those of a container that is on one network.
    server = await loop.create_server(Connection, "0.0.0.0", port, backlog=BACKLOG)  # noqa: S104
    await server.serve_forever()


if __name__ == "__main__":
    if find_spec("uvloop"):
        import uvloop

        uvloop.run(serve(int(sys.argv[1])))
    else:
        asyncio.run(serve(int(sys.argv[1])))

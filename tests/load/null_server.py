"""Answers every request at once: `python null_server.py [--own-namespace]`; prints its port.

It reads no length: a request is what arrives at a time, which holds for small ones on loopback.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import resource
import socket
import struct
import sys
from typing import cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


class Answer(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 -- asyncio's signature
        self.transport.write(ANSWER)


def enter_own_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        sys.exit(os.strerror(ctypes.get_errno()))
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(json.dumps(server.sockets[0].getsockname()[1]) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if "--own-namespace" in sys.argv:
        enter_own_namespace()
    uvloop.run(main())

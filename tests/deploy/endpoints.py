"""Services on loopback that are there already, as a test wants them."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Reply = Callable[[str, bytes], bytes]
"""From the request line's target and the body to the bytes of a response.

A response with `Connection: close`, or without a length, ends its connection.
"""


def response(
    body: bytes, *headers: str, status: str = "200 OK", version: str = "1.1", length: bool = True
) -> bytes:
    lines = [f"HTTP/{version} {status}", "Content-Type: application/json", *headers]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def predicted(_target: str, body: bytes) -> bytes:
    """x / 2 + 2, as TensorFlow Serving answers."""
    rows = json.loads(body)["instances"]
    return response(json.dumps({"predictions": [x / 2 + 2 for x in rows]}).encode())


class _Handler(socketserver.BaseRequestHandler):
    server: Endpoint

    def handle(self) -> None:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                try:
                    piece = self.request.recv(1 << 16)
                except OSError:
                    return
                if not piece:
                    return
                received += piece
                if not received[:1].isalpha():  # no HTTP, such as TLS
                    self.request.sendall(response(b"", status="400 Bad Request"))
                    return
            head, _, rest = received.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:])
            size = int(headers.get("content-length", 0))
            while len(rest) < size:
                rest += self.request.recv(1 << 16)
            body, received = rest[:size], rest[size:]
            self.server.heads.append(head.decode())
            answer = self.server.reply(lines[0].split()[1], body)
            time.sleep(self.server.seconds)
            began = time.process_time()
            try:
                self.request.sendall(answer)
            except OSError:
                return
            self.server.busy += time.process_time() - began
            said = answer[:300].lower()
            if b"connection: close" in said or (b"length" not in said and b"chunked" not in said):
                return


class Endpoint(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, reply: Reply, tls: ssl.SSLContext | None, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.seconds = seconds
        self.tls = tls
        self.heads: list[str] = []
        self.busy = 0.0

    def get_request(self) -> tuple[socket.socket, object]:
        accepted, address = super().get_request()
        if self.tls is not None:
            accepted.settimeout(5)
            accepted = self.tls.wrap_socket(accepted, server_side=True)
        return accepted, address

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no matter."""

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}/v1/models/half:predict"


@contextmanager
def endpoint(
    reply: Reply = predicted, tls: ssl.SSLContext | None = None, seconds: float = 0.002
) -> Iterator[Endpoint]:
    with Endpoint(reply, tls, seconds) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def self_signed(directory: Path, *addresses: str) -> tuple[Path, Path]:
    """The files of a certificate for these addresses that signs itself (`ca.pem`), and of its key
    (`key.pem`).
    """
    key, certificate = directory / "key.pem", directory / "ca.pem"
    names = ",".join(f"IP:{address}" for address in addresses)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", f"/CN={addresses[0]}"),
            *("-addext", f"subjectAltName={names}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def own_authority(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its file."""
    certificate, key = self_signed(directory, "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context, certificate

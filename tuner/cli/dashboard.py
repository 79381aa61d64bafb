"""optuna-dashboard on loopback."""

from __future__ import annotations

import socket
from wsgiref.simple_server import WSGIRequestHandler, make_server

from optuna_dashboard import wsgi

from tuner.errors import InputError
from tuner.study.storage import open_storage, study_id

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Say nothing: the page asks for news every few seconds."""


def serve(name: str, url: str, port: int) -> None:
    """Serve until interrupted. Raises InputError when the port is taken."""
    storage = open_storage(url, create=False)
    number = study_id(name, storage)
    try:
        server = make_server(HOST, port, wsgi(storage), handler_class=_Quiet)
    except OSError as error:
        raise InputError(
            f"port {port} of {HOST} cannot be had: {error.strerror}", "give another --port"
        ) from error
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with server:
        print(f"http://{HOST}:{server.server_port}/dashboard/studies/{number}", flush=True)
        print("Ctrl-C ends it.", flush=True)
        server.serve_forever()

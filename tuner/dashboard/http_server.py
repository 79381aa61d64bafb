"""The web server of optuna-dashboard, for one study."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from optuna.storages import BaseStorage
from optuna_dashboard import wsgi

from tuner.dashboard.artifacts import Artifacts
from tuner.dashboard.guard import LOOPBACK, guarded
from tuner.dashboard.live_note import LiveNote
from tuner.dashboard.storage_view import StudyView
from tuner.errors import InputError
from tuner.load.parquet import Recording, read_samples
from tuner.measure.record import TrialRecord
from tuner.study.storage import optuna_study, samples_directory, study_id

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- to be recognised
"""What means every address of this machine, and one of them."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        """Say nothing: the page asks for news every few seconds."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request: one that draws a figure keeps no other waiting."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Without the base's question to the name service, which may take a minute."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment] # of an IP socket
        self.setup_environ()


@contextmanager
def dashboard(
    name: str, storage: BaseStorage, results: Path, host: str, port: int
) -> Iterator[tuple[WSGIServer, str]]:
    """A server that listens at `host`, and the address of the study's page on it.

    Requests are answered while its `serve_forever` runs. `results` has the study's samples. Raises
    InputError where the study is not there or the port cannot be had.
    """
    number = study_id(name, storage)
    directory = samples_directory(optuna_study(name, storage), results)

    def recording(trial: TrialRecord) -> Recording | None:
        path = directory / Path(trial.samples or "").name
        return read_samples(path) if path.is_file() else None

    artifacts = Artifacts(storage, recording)
    view = StudyView(storage, number, LiveNote(storage, name), artifacts)
    app = guarded(wsgi(view, artifact_store=artifacts), loopback=host in LOOPBACK)
    with _listening(host, port) as server:
        server.set_app(app)
        here = _EVERYWHERE.get(host, host)
        at = f"[{here}]" if ":" in here else here
        yield server, f"http://{at}:{server.server_port}/dashboard/studies/{number}"


def _listening(host: str, port: int) -> _Server:
    class Server(_Server):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        return Server((host, port), _Quiet)
    except OSError as error:
        raise InputError(
            f"port {port} of {host} cannot be had: {error.strerror}",
            "give another --port or --host; --port 0 takes a free one",
        ) from error

"""The health check of a compose file, run by bash as an engine runs it in the container."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.export.small import named, study, trial
from tests.serving.processes import free_port, needs_tensorflow, running
from tuner.export.compose import to_compose
from tuner.export.served import served_by
from tuner.measure.record import StudyRecord
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING

ONE = study(trial(0, 3.0, 30.0))


def checked(record: StudyRecord, port: int) -> int:
    """The exit status of the check of a container whose REST port is `port`."""
    text = to_compose(served_by(record, record.trials[0]), Path("/versions"))
    (service,) = yaml.safe_load(text)["services"].values()
    kind, *words = [word.replace("$$", "$") for word in service["healthcheck"]["test"]]
    assert kind == "CMD"
    words = [str(port) if word == "8501" else word for word in words]
    return subprocess.run(words, capture_output=True, check=False, timeout=20).returncode


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """The port of a server with one answer for everything, and the paths that were asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status, "said")
            self.end_headers()
            self.wfile.write(b"{}" * 1000)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port, paths
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("model", ["half_plus_two", "100% $(false) 'x' \"y\""])
def test_a_replica_is_healthy_when_the_model_is_loaded(model: str) -> None:
    record = named("s", model, "v")
    with answering(200) as (port, paths):
        assert checked(record, port) == 0
    assert paths == [served_by(record, record.trials[0]).plan.ready.path]


@pytest.mark.parametrize("status", [404, 500, 503])
def test_it_is_not_while_the_server_says_otherwise(status: int) -> None:
    with answering(status) as (port, _):
        assert checked(ONE, port) != 0


@needs_tensorflow
def test_tunes_own_server_is_healthy_with_the_model_it_has(tmp_path: Path) -> None:
    with running(tmp_path / "log") as server:
        server.wait_until(lambda: server.versions()["123"] == ("AVAILABLE", "OK"))
        assert checked(ONE, server.port) == 0
        assert checked(replace(ONE, model="another"), server.port) != 0


def test_it_is_not_where_nothing_listens() -> None:
    assert checked(ONE, free_port()) != 0


def test_a_server_of_a_package_gets_no_check_that_its_image_may_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = replace(served_by(ONE, ONE.trials[0]).plan, health=())
    other = replace(TENSORFLOW_SERVING, plan=lambda *_: plan)
    monkeypatch.setattr("tuner.serving.servers.table.added_servers", lambda: {"other": other})
    record = replace(ONE, serving={**ONE.serving, "server": "other"})
    text = to_compose(served_by(record, record.trials[0]), Path("/versions"))
    (service,) = yaml.safe_load(text)["services"].values()
    assert "healthcheck" not in service

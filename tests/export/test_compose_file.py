"""Names and values in a compose file, its schema, and a load balancer in it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import requests
import yaml
from hypothesis import given, settings
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.export.small import ANY_TEXT, IMAGE, NASTY, named, study, trial
from tests.serving.processes import free_port
from tuner.errors import InputError
from tuner.export.balancer import nginx_conf
from tuner.export.compose import to_compose
from tuner.export.served import served_by
from tuner.measure.record import StudyRecord

SCHEMA = Path("/usr/lib/python3/dist-packages/compose/config/compose_spec.json")
"""The Compose specification's schema, as Debian's docker-compose brings it."""

VERSIONS = Path("/versions")
BALANCER = "registry.example/nginx:1.27"
TWO = study(trial(0, 3.0, 30.0, configuration={"replicas": 2}))
GRPC = study(replace(TWO.trials[0], deployment={"protocol": "grpc"}))


def services(
    record: StudyRecord,
    versions: Path = VERSIONS,
    balancer: str | None = None,
    first_port: int = 8501,
) -> dict[str, Any]:
    text = to_compose(served_by(record, record.trials[0]), versions, first_port, balancer)
    found: dict[str, Any] = yaml.safe_load(text)
    assert list(found) == ["services"]
    return dict(found["services"])


def check(record: StudyRecord, value: str, versions: Path) -> None:
    ((name, service),) = services(record, versions).items()

    def read(text: str) -> str:
        """As compose does: `$$` is a dollar sign, and a lone one would name a variable."""
        assert "$" not in text.replace("$$", "")
        return text.replace("$$", "$")

    assert {n: read(v) for n, v in service["environment"].items()} == {
        "SALT": value,
        "MODEL_NAME": record.model,
    }
    assert [read(word) for word in service["command"]] == [
        f"--text={value}",
        "--session_threads=2",
    ]
    assert service["image"] == IMAGE
    assert read(service["volumes"][0]["source"]) == str(versions.resolve())
    assert read(service["volumes"][0]["target"]) == f"/models/{record.model}"
    assert name.isascii()
    assert name.replace("-", "").replace("_", "").replace(".", "").isalnum()


@pytest.mark.parametrize("text", NASTY)
def test_nothing_that_a_user_wrote_is_a_key_or_a_variable(text: str) -> None:
    check(named(text, text, text), text, Path(f"/{text}"))


@settings(max_examples=60, deadline=None)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_names_and_values_come_back_as_they_were(name: str, model: str, value: str) -> None:
    check(named(name, model, value), value, VERSIONS)


@pytest.mark.parametrize("balancer", [None, BALANCER])
@pytest.mark.parametrize(
    "record", [TWO, GRPC, named("a", NASTY[0], NASTY[3], replicas=2)], ids=["two", "grpc", "nasty"]
)
def test_a_file_is_valid_by_the_schema(record: StudyRecord, balancer: str | None) -> None:
    if not SCHEMA.exists():
        pytest.skip("Debian's docker-compose, which brings the schema, is not installed")
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    found = {"services": services(record, balancer=balancer)}
    validator.validate(found)
    broken = {"services": {n: {**s, "memory": 1} for n, s in found["services"].items()}}
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("balancer", [None, BALANCER])
def test_compose_reads_what_was_meant(
    compose: list[str], tmp_path: Path, balancer: str | None
) -> None:
    nasty = named("it's", "m", "".join(NASTY[:4]))
    file = tmp_path / "compose.yaml"
    file.write_text(
        to_compose(served_by(nasty, nasty.trials[0]), tmp_path, balancer=balancer), newline=""
    )
    read = subprocess.run(
        [*compose, "-p", "x", "-f", str(file), "config"], capture_output=True, text=True, check=True
    )
    assert not read.stderr
    service = yaml.safe_load(read.stdout)["services"]["m-0"]
    assert service["environment"]["SALT"].replace("$$", "$") == "".join(NASTY[:4])
    assert service["volumes"][0]["source"] == str(tmp_path)


def test_with_a_balancer_only_that_is_published() -> None:
    found = services(TWO, balancer=BALANCER, first_port=9000)
    balancer = found.pop("balancer")
    assert list(found) == ["half_plus_two-0", "half_plus_two-1"]
    assert not any("ports" in service for service in found.values())
    assert balancer["image"] == BALANCER
    assert balancer["ports"] == ["127.0.0.1:9000:8501", "127.0.0.1:8999:8500"]
    assert balancer["depends_on"] == list(found)
    assert (balancer["read_only"], balancer["cap_drop"]) == (True, ["ALL"])
    text = to_compose(served_by(TWO, TWO.trials[0]), VERSIONS, balancer=BALANCER, first_port=9000)
    assert "spreads requests over the replicas: 127.0.0.1:9000" in text
    assert "It was not part of the measurement" in text


@pytest.mark.parametrize("image", ["", "--privileged", "a b", "a\nb", "$IMAGE", "-"])
def test_what_is_no_image_is_refused(image: str) -> None:
    with pytest.raises(InputError, match="not an image reference"):
        services(TWO, balancer=image)


def test_an_image_of_a_study_is_checked_too() -> None:
    odd = replace(TWO, environment={"image": "--privileged"})
    with pytest.raises(InputError, match="not an image reference"):
        services(odd)


def conf(record: StudyRecord, port: int, grpc: int, directory: Path, *upstream: str) -> Path:
    """The balancer's configuration, with names and directories of this machine."""
    served = served_by(record, record.trials[0])
    text = nginx_conf(served, [f"replica-{i}" for i in range(len(upstream))])
    for own, listening in ((served.plan.port, port), (served.plan.grpc_port, grpc)):
        for i, address in enumerate(upstream):
            text = text.replace(f"server replica-{i}:{own} ", f"server {address} ")
        text = text.replace(f"listen {own}", f"listen 127.0.0.1:{listening}")
    path = directory / "nginx.conf"
    path.write_text(text.replace("/tmp/", f"{directory}/"))
    return path


@pytest.fixture
def nginx() -> str:
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if found is None:
        pytest.skip("nginx is not installed")
    return found


@pytest.mark.parametrize("record", [TWO, GRPC], ids=["rest", "grpc"])
def test_nginx_takes_the_configuration(nginx: str, record: StudyRecord, tmp_path: Path) -> None:
    path = conf(record, 9, 10, tmp_path, "127.0.0.1:1", "127.0.0.1:2")
    done = subprocess.run(
        [nginx, "-e", "stderr", "-t", "-c", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@contextmanager
def answering(count: Callable[[], None]) -> Iterator[str]:
    """A server that answers with the length of what it gets."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            count()
            length = str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(length)))
            self.end_headers()
            self.wfile.write(length)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_nginx_spreads_requests_of_any_size_over_the_replicas(nginx: str, tmp_path: Path) -> None:
    asked: list[int] = []
    port = free_port()
    with ExitStack() as world:
        upstream = [
            world.enter_context(answering(lambda i=i: asked.append(i)))  # type: ignore[misc]
            for i in range(2)
        ]
        path = conf(TWO, port, free_port(), tmp_path, *upstream)
        process = subprocess.Popen(
            [nginx, "-e", "stderr", "-c", str(path)], stderr=subprocess.DEVNULL
        )
        world.callback(process.wait, 10)
        world.callback(process.terminate)
        session = world.enter_context(requests.Session())
        # Until it listens.
        retry = Retry(40, backoff_factor=0.05, backoff_max=0.2)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        body = b"x" * 3_000_000
        for _ in range(4):
            reply = session.post(f"http://127.0.0.1:{port}/v1/models/m:predict", body, timeout=10)
            assert reply.text == "3000000"
    assert sorted(asked) == [0, 0, 1, 1]

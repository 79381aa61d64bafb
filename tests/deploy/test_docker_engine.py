from __future__ import annotations

import gc
import json
import socket
from pathlib import Path

import pytest
from docker.tls import TLSConfig

from tests.deploy.endpoints import endpoint, own_authority, response
from tuner.deploy.docker_engine import connect, other_machine
from tuner.deploy.engine_address import EngineAddress
from tuner.errors import SetupError


def fails(monkeypatch: pytest.MonkeyPatch, host: str) -> SetupError:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(SetupError) as caught, connect():
        pytest.fail("it connected")
    return caught.value


def test_no_engine_is_a_setup_error_that_names_its_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = fails(monkeypatch, f"unix://{tmp_path}/none.sock")
    assert f"{tmp_path}/none.sock" in error.message
    assert "systemctl start docker" in error.mend


def test_a_socket_where_nobody_listens_is_closed_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    assert "no Docker Engine answers" in fails(monkeypatch, f"unix://{path}").message
    gc.collect()  # an open socket would warn here, and a warning is an error


@pytest.mark.parametrize(
    ("host", "machine"),
    [
        (None, None),
        ("unix:///run/user/1000/docker.sock", None),
        ("tcp://127.0.0.1:2375", None),
        ("tcp://[::1]:2375", None),
        ("tcp://localhost:2375", None),
        ("npipe:////./pipe/docker_engine", None),
        ("tcp://build.example:2376", "build.example"),
        ("tcp://[2001:db8::7]:2376", "2001:db8::7"),
        ("https://192.0.2.7:2376", "192.0.2.7"),
        ("ssh://someone@build.example", "build.example"),
        ("ssh://build.example:2222", "build.example"),
    ],
)
def test_which_machine_the_engine_is_on(
    monkeypatch: pytest.MonkeyPatch, host: str | None, machine: str | None
) -> None:
    if host is None:
        monkeypatch.delenv("DOCKER_HOST", raising=False)
    else:
        monkeypatch.setenv("DOCKER_HOST", host)
    assert other_machine() == machine


def test_an_engine_elsewhere_that_does_not_answer_is_a_setup_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))
        for kind in ("tcp", "ssh"):
            host = f"{kind}://127.0.0.2:{unused.getsockname()[1]}"
            assert f"no Docker Engine answers at {host}" in fails(monkeypatch, host).message
    gc.collect()


def answers_its_version(_target: str, _body: bytes) -> bytes:
    return response(json.dumps({"ApiVersion": "1.41"}).encode())


def test_an_engine_without_an_authority_of_its_own_is_trusted_as_others_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context, certificate = own_authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with endpoint(answers_its_version, context) as server:
        address = EngineAddress(
            f"https://127.0.0.1:{server.server_address[1]}", TLSConfig(verify=True)
        )
        with connect(address=address) as client:
            assert client.version()["ApiVersion"] == "1.41"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", None])
def test_the_authority_of_an_engine_is_trusted_whatever_others_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str | None
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    other, engines = tmp_path / "other", tmp_path / "engines"
    for directory in (other, engines):
        directory.mkdir()
    _, others = own_authority(other)
    context, certificate = own_authority(engines)
    (engines / "cert.pem").write_bytes(certificate.read_bytes())
    if variable is not None:
        monkeypatch.setenv(variable, str(others))
    monkeypatch.setenv("DOCKER_CERT_PATH", str(engines))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with endpoint(answers_its_version, context) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        with connect() as client:
            assert client.version()["ApiVersion"] == "1.41"

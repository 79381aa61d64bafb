from __future__ import annotations

import gc
import socket
from pathlib import Path

import pytest

from tuner.deploy.engine import connect
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


@pytest.mark.parametrize("host", ["tcp://build.example:2375", "ssh://someone@build.example"])
def test_an_engine_on_another_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    assert "another machine" in fails(monkeypatch, host).message

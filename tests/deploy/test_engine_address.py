"""Which engine is used: the one that Docker's own command line would use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.deploy.engine_proxy import VERSION, engine_proxy
from tuner.deploy.docker_engine import connect, other_machine
from tuner.deploy.engine_address import engine_address
from tuner.errors import SetupError


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for Docker's configuration, and no variable that says where the engine is."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def add_context(configuration: Path, name: str, host: str, **endpoint: object) -> str:
    """As `docker context create` does; returns the directory's name."""
    identity = hashlib.sha256(name.encode()).hexdigest()
    directory = configuration / "contexts" / "meta" / identity
    directory.mkdir(parents=True)
    known = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, **endpoint}}}
    (directory / "meta.json").write_text(json.dumps(known))
    return identity


def use_context(configuration: Path, name: str) -> None:
    """As `docker context use` does."""
    (configuration / "config.json").write_text(json.dumps({"currentContext": name}))


def test_without_anything_it_is_the_default_socket(configuration: Path) -> None:
    assert not list(configuration.iterdir())
    assert engine_address().host == "unix:///var/run/docker.sock"


def test_a_variable_for_the_host_wins_over_one_for_the_context_and_that_over_the_file(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_context(configuration, "rootless", "unix:///run/user/1000/docker.sock")
    add_context(configuration, "colima", "unix:///colima/docker.sock")
    use_context(configuration, "rootless")
    assert str(engine_address()) == "unix:///run/user/1000/docker.sock (context rootless)"
    monkeypatch.setenv("DOCKER_CONTEXT", "colima")
    assert engine_address().host == "unix:///colima/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    assert str(engine_address()) == "tcp://192.0.2.7:2375"
    assert other_machine() == "192.0.2.7"


@pytest.mark.parametrize("name", ["", "default"])
def test_a_context_by_the_name_of_default_is_none(
    configuration: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    use_context(configuration, name)
    assert engine_address().host == "unix:///var/run/docker.sock"
    add_context(configuration, "other", "unix:///other.sock")
    use_context(configuration, "other")
    if name:
        monkeypatch.setenv("DOCKER_CONTEXT", name)
        assert engine_address().host == "unix:///var/run/docker.sock"


def test_the_engine_of_a_context_is_connected_to(configuration: Path, tmp_path: Path) -> None:
    with engine_proxy(tmp_path) as proxy:
        proxy.fault("GET /version", status=200, message=VERSION)
        add_context(configuration, "it's mine", proxy.host)
        use_context(configuration, "it's mine")
        with connect() as client:
            assert client.version()["Version"] == VERSION["Version"]
    assert set(proxy.calls) == {"GET /version"}


def test_certificates_of_a_context_are_used(configuration: Path) -> None:
    identity = add_context(configuration, "far", "tcp://192.0.2.7:2376", SkipTLSVerify=False)
    directory = configuration / "contexts" / "tls" / identity / "docker"
    directory.mkdir(parents=True)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (directory / name).touch()
    use_context(configuration, "far")
    tls = engine_address().tls
    assert tls is not None
    assert tls.verify
    assert tls.ca_cert == str(directory / "ca.pem")
    assert tls.cert == (str(directory / "cert.pem"), str(directory / "key.pem"))


def test_a_context_that_is_none_or_broken_is_said_with_its_place(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_context(configuration, "gone")
    with pytest.raises(SetupError, match=r"config\.json: there is no Docker context gone") as none:
        engine_address()
    assert "docker context ls" in none.value.mend
    monkeypatch.setenv("DOCKER_CONTEXT", "lost")
    with pytest.raises(SetupError, match="DOCKER_CONTEXT: there is no Docker context lost"):
        engine_address()
    identity = add_context(configuration, "lost", "")
    with pytest.raises(SetupError, match=f"{identity}/meta.json: context lost has no Endpoints"):
        engine_address()
    for text in ("{", "[]", "\udcff"):
        path = configuration / "contexts" / "meta" / identity / "meta.json"
        path.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(SetupError, match=f"{identity}/meta.json"):
            engine_address()


def test_certificates_that_are_not_there_are_said(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(configuration))
    with pytest.raises(SetupError, match="DOCKER_CERT_PATH"):
        engine_address()

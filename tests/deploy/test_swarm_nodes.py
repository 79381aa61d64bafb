from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.swarm_facts import node
from tuner.deploy.swarm_nodes import (
    labelled,
    node_engine,
    require_alike,
    require_present,
)
from tuner.errors import SetupError, Unreachable

INFO: dict[str, Any] = {
    "Name": "one",
    "Swarm": {"NodeID": "id-one"},
    "OSType": "linux",
    "Architecture": "x86_64",
    "ServerVersion": "20.10.24",
}


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")


def test_nodes_take_part_by_their_label() -> None:
    one, two = node("one"), node("two", engine="")
    assert labelled([one, two]) == (one,)
    with pytest.raises(SetupError, match=r"no node of the swarm \(two\)") as caught:
        labelled([two])
    assert "docker node update --label-add tune.engine=ssh://" in caught.value.mend


def test_a_node_without_tasks_is_away_and_says_how_to_go_on() -> None:
    require_present([node("one")])
    drained = node("one", Spec={"Availability": "drain", "Labels": {}})
    down = node("two", Status={"State": "down", "Addr": "192.0.2.2"})
    for away, what in ((drained, "takes no tasks (availability drain)"), (down, "is down")):
        with pytest.raises(Unreachable) as caught:
            require_present([node("three"), away])
        assert caught.value.message == f"node {away.name} {what}"
        assert f"--label-rm tune.engine {away.name}" in caught.value.mend


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        ("tcp://192.0.2.1:2375", "has no TLS"),
        ("https://192.0.2.1:2375", "has no TLS"),
        ("node1", "is not the address of a Docker Engine"),
        ("-oProxyCommand=x", "is not the address of a Docker Engine"),
    ],
)
def test_an_open_port_and_what_is_no_address_are_refused(engine: str, why: str) -> None:
    with pytest.raises(SetupError, match=why) as caught:
        node_engine(node("one", engine=engine))
    assert "label tune.engine of node one" in caught.value.message
    assert "ssh://" in caught.value.mend


def test_an_engine_behind_tls_has_the_certificates_of_the_manager(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.9:2376")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    found = node_engine(node("one", engine="tcp://192.0.2.1:2376"))
    assert found.tls is not None
    assert found.tls.cert == (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Swarm": {"NodeID": "id-two"}}, "is the engine of one, which is another node"),
        ({"Swarm": {"NodeID": ""}}, "is the engine of one, which is in no swarm"),
        ({"Architecture": "aarch64"}, "another architecture (linux/aarch64)"),
        ({"ServerVersion": "28.2.2"}, "another version (28.2.2)"),
    ],
)
def test_an_engine_that_is_another_or_unlike_is_refused(changes: dict[str, Any], why: str) -> None:
    require_alike(node("one"), INFO, INFO)
    with pytest.raises(SetupError) as caught:
        require_alike(node("one"), {**INFO, **changes}, INFO)
    assert why in caught.value.message
    assert caught.value.mend


def test_a_manager_that_does_not_know_its_own_address_has_that_of_managing() -> None:
    status = {"State": "ready", "Addr": "0.0.0.0"}
    found = node("one", Status=status, ManagerStatus={"Addr": "192.0.2.7:2377"})
    assert found.address == "192.0.2.7"

"""What the engine does wrong, as the errors that `tune` raises; the engine is a server of ours."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import APIError, NotFound

from tests.deploy.engine_proxy import VERSION, EngineProxy, Fault, engine_proxy
from tuner.deploy import docker_engine, ownership
from tuner.deploy.docker_deployer import refusals
from tuner.deploy.docker_engine import connect, is_up
from tuner.deploy.ownership import LABEL, Owner, undo
from tuner.errors import SetupError, TrialFailed, TuneError, Unreachable
from tuner.interrupts import handled_interrupts

CREATE = "POST /containers/create"


@pytest.fixture
def engine_of_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProxy]:
    # What other tests of this process could not remove is looked for on every engine.
    monkeypatch.setattr(ownership, "_abandoned", set())
    with engine_proxy(tmp_path) as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.host)
        proxy.fault("GET /version", status=200, message=VERSION)
        proxy.fault("GET /_ping", status=200, message="OK")
        yield proxy


def created(proxy: EngineProxy, status: int, message: str) -> BaseException:
    """What comes of a container that the engine refuses to make."""
    proxy.fault(CREATE, status=status, message=message)
    with pytest.raises(TuneError) as caught, connect() as client, refusals():
        client.containers.create("tune-serving:1", "true")
    return caught.value


@pytest.mark.parametrize(
    ("status", "reason", "meaning", "mend"),
    [
        (500, "mkdir /var/lib/docker/x: no space left on device", "no space", "docker system df"),
        (
            500,
            "could not find an available, non-overlapping IPv4 address pool among the defaults",
            "no addresses left",
            "docker network prune",
        ),
        (
            500,
            "all predefined address pools have been fully subnetted",
            "no addresses left",
            "docker network prune",
        ),
        (404, "No such image: tune-serving:1", "image was removed", "tune image build"),
        (500, "open /var/lib/docker/x: read-only file system", "cannot write", "docker info"),
        (403, "authorization denied by plugin x", "does not let this user in", "administrator"),
    ],
)
def test_what_no_repetition_mends_is_a_setup_error_with_a_mend(
    engine_of_faults: EngineProxy, status: int, reason: str, meaning: str, mend: str
) -> None:
    error = created(engine_of_faults, status, reason)
    assert isinstance(error, SetupError)
    assert not isinstance(error, Unreachable)
    assert meaning in error.message
    assert reason in error.message
    assert mend in error.mend


@pytest.mark.parametrize(
    ("status", "reason", "mend"),
    [
        (409, 'Conflict. The container name "/x" is already in use by container "y"', ""),
        (500, "Bind for 127.0.0.1:8501 failed: port is already allocated", "free that port"),
        (500, "listen tcp4 0.0.0.0:80: bind: address already in use", "free that port"),
        (500, "something else", ""),
    ],
)
def test_what_may_go_well_next_time_fails_the_trial(
    engine_of_faults: EngineProxy, status: int, reason: str, mend: str
) -> None:
    error = created(engine_of_faults, status, reason)
    assert isinstance(error, TrialFailed)
    assert error.message == f"the Docker Engine refused a step: {reason}"
    assert mend in error.mend


def test_a_refusal_outside_of_any_trial_is_a_setup_error(engine_of_faults: EngineProxy) -> None:
    engine_of_faults.fault("GET /info", status=500, message="something else")
    failed = pytest.raises(SetupError, match="the Docker Engine failed: something else")
    with failed, connect() as client:
        client.info()


def test_who_asks_whether_something_is_there_is_told_so(engine_of_faults: EngineProxy) -> None:
    engine_of_faults.fault("GET /(images|containers)/", status=404, message="No such image: x")
    with connect() as client:
        for collection in (client.images, client.containers):
            with pytest.raises(NotFound):
                collection.get("x")
        with pytest.raises(APIError):
            client.containers.get("x")


@pytest.mark.parametrize("where", ["GET /version", "GET /info"])
def test_an_engine_that_closes_the_connection_is_unreachable(
    engine_of_faults: EngineProxy, where: str
) -> None:
    engine_of_faults.faults.insert(0, Fault(where, close=True))
    gone = pytest.raises(Unreachable, match="it closed the connection")
    with gone as caught, connect() as client:
        client.info()
    assert engine_of_faults.host in caught.value.message
    assert "systemctl start docker" in caught.value.mend
    gc.collect()  # an open socket would warn here, and a warning is an error


def test_a_client_that_has_lost_the_engine_asks_no_more(engine_of_faults: EngineProxy) -> None:
    engine_of_faults.fault("GET /info", close=True, times=1)
    with connect() as client:
        for _ in range(3):
            with pytest.raises(Unreachable, match="it closed the connection"):
                client.info()
    assert engine_of_faults.calls.count("GET /info") == 1
    assert is_up(), "another one may ask"


def test_a_frozen_engine_is_unreachable_and_a_slow_step_is_none(
    engine_of_faults: EngineProxy,
) -> None:
    engine_of_faults.fault("GET /info", delay=60)
    with connect(0.2) as client, pytest.raises(TrialFailed) as slow:
        client.info()
    assert slow.value.message == "the Docker Engine did not finish GET /info within 0.2 s"
    engine_of_faults.faults.insert(0, Fault("GET /_ping", delay=60))
    with connect(0.2) as client, pytest.raises(Unreachable, match=r"not answered for 0\.2 s"):
        client.info()


def test_whether_a_frozen_engine_answers_is_known_soon(
    engine_of_faults: EngineProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_up()
    monkeypatch.setattr(docker_engine, "PING_SECONDS", 0.2)
    engine_of_faults.faults.insert(0, Fault("GET", delay=60))
    assert not is_up()


def test_an_engine_that_is_too_old_is_said_so(engine_of_faults: EngineProxy) -> None:
    old = Fault("GET /version", status=200, message={"ApiVersion": "1.12"})
    engine_of_faults.faults.insert(0, old)
    with pytest.raises(SetupError, match="too old: API versions below") as caught, connect():
        pass
    assert not isinstance(caught.value, Unreachable), "nobody should wait for it"
    assert "20.10" in caught.value.mend


def test_a_socket_of_others_is_no_reason_to_start_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Root may open every socket, so the refusal is made up.
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    refused = pytest.raises(SetupError, match="let this user in: Permission denied")
    with refused as caught, connect():
        pass
    assert not isinstance(caught.value, Unreachable)
    assert "usermod -aG docker" in caught.value.mend


def listed_late(proxy: EngineProxy) -> None:
    """A container `c`, which can be removed, is listed from the second time on."""
    listed = {"Id": "c", "Names": ["/c"], "Labels": {}}
    proxy.fault("GET /containers/json", status=200, message=[], times=1)
    proxy.fault("GET /containers/json", status=200, message=[listed])
    proxy.fault("GET /containers/c/json", status=200, message={"Id": "c"})
    proxy.fault("DELETE /containers/c", status=204)


def test_what_cannot_be_removed_now_is_removed_when_the_engine_answers(
    engine_of_faults: EngineProxy,
) -> None:
    with pytest.raises(Unreachable), connect() as client, undo(client, LABEL, "lost"):
        engine_of_faults.fault("GET /volumes", close=True, times=1)
    engine_of_faults.fault("GET /volumes", status=200, message={"Volumes": None})
    engine_of_faults.fault("GET /networks", status=200, message=[])
    listed_late(engine_of_faults)
    with connect() as client, undo(client, LABEL, "another"):
        pass
    assert engine_of_faults.calls.count("DELETE /containers/c") == 1


def test_a_container_that_comes_up_late_does_not_keep_its_network(
    engine_of_faults: EngineProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that was frozen does afterwards what it was asked before."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    engine_of_faults.fault("GET /volumes", status=200, message={"Volumes": None})
    engine_of_faults.fault("GET /networks/n", status=200, message={"Id": "n", "Containers": {}})
    engine_of_faults.fault("GET /networks", status=200, message=[{"Id": "n", "Name": "n"}])
    in_use = "network n id n has active endpoints"
    engine_of_faults.fault("DELETE /networks/n", status=403, message=in_use, times=6)
    engine_of_faults.fault("DELETE /networks/n", status=204)
    listed_late(engine_of_faults)
    with connect() as client, undo(client, LABEL, "late"):
        pass
    calls = engine_of_faults.calls
    removed = calls.index("DELETE /containers/c")
    assert calls[:removed].count("DELETE /networks/n") == 6
    assert calls[removed:].count("DELETE /networks/n") >= 1


@pytest.mark.docker
def test_a_container_of_another_label_does_not_keep_a_network(
    engine: DockerClient, serving_image: str
) -> None:
    """The helper of a run that an engine, which was frozen, lets join a trial's network late."""
    run, trial = (uuid.uuid4().hex for _ in range(2))
    owner = str(Owner.this())
    with undo(engine, "tune.run", run):
        helper = engine.containers.run(
            serving_image,
            entrypoint=["sleep", "60"],
            detach=True,
            network_mode="none",
            labels={LABEL: owner, "tune.run": run},
        )
        with undo(engine, "tune.deployment", trial):
            name = f"tune-late-{trial[:8]}"
            labels = {LABEL: owner, "tune.deployment": trial}
            for network in helper.attrs["NetworkSettings"]["Networks"]:
                engine.networks.get(network).disconnect(helper)
            engine.networks.create(name, internal=True, labels=labels).connect(helper)
        assert not engine.networks.list(names=[name])
        helper.reload()
        assert helper.status == "running"


@pytest.mark.docker
def test_what_is_made_while_an_interrupt_arrives_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: DockerClient, serving_image: str
) -> None:
    labels = {LABEL: str(Owner.this()), "tune.run": uuid.uuid4().hex}
    of_it: dict[str, str | list[str] | bool] = {"label": f"tune.run={labels['tune.run']}"}
    with engine_proxy(tmp_path) as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.host)
        proxy.fault(CREATE, delay=1)
        with connect() as client:
            with (  # noqa: PT012
                pytest.raises(KeyboardInterrupt),
                handled_interrupts(),
                undo(client, "tune.run", labels["tune.run"]),
            ):
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
                client.containers.create(serving_image, labels=labels)
            time.sleep(2)  # an engine that was left alone makes it meanwhile
    try:
        assert proxy.calls.count(CREATE) == 1
        assert not engine.containers.list(all=True, filters=of_it)
    finally:
        for left in engine.containers.list(all=True, filters=of_it):
            left.remove(force=True)


def test_proxies_of_the_users_configuration_do_not_get_into_containers(
    engine_of_faults: EngineProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://p:1"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    engine_of_faults.fault(CREATE, status=201, message={"Id": "c"})
    engine_of_faults.fault("GET /containers/c/json", status=200, message={"Id": "c"})
    with connect() as client:
        client.containers.create("tune-serving:1", "true", environment={"A": "1"})
    (body,) = engine_of_faults.bodies(CREATE)
    assert body["Env"] == ["A=1"]

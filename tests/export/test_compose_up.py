from __future__ import annotations

import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

import pytest
import requests
from docker import DockerClient

from tuner.export.compose import to_compose
from tuner.record import StudyRecord, TrialRecord
from tuner.serving.image import build_image
from tuner.spec.space import Configuration, Parameter, SearchSpace

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"
MODEL = "half_plus_two"
CONFIGURATION = {"concurrency": 1, "cpu": 0.5, "memory": 192, "replicas": 2, "loss": 0.0}
READY_SECONDS = 60.0

pytestmark = pytest.mark.docker


def two_free_ports() -> int:
    """The first of two neighbouring ports of loopback that are free now."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    pytest.fail("no two neighbouring free ports")


def wait_until_ready(port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/models/{MODEL}"
    deadline = time.monotonic() + READY_SECONDS
    last: object = "nothing"
    while time.monotonic() < deadline:
        try:
            reply = requests.get(url, timeout=5)
            last = reply.text
            if reply.ok and reply.json()["model_version_status"][0]["state"] == "AVAILABLE":
                return
        except requests.ConnectionError as error:
            last = error
        time.sleep(0.1)
    pytest.fail(f"{url} was not ready within {READY_SECONDS:g} s: {last}")


def record(image: str) -> StudyRecord:
    space = SearchSpace(
        tuple(
            Parameter(name, "float", "decision", value, choices=(value,))
            for name, value in CONFIGURATION.items()
        )
    )
    trial = TrialRecord(
        number=0,
        configuration=Configuration.of(CONFIGURATION),
        outcome="measured",
        values=(),
        violations={},
        phases={},
        started="2025-01-01T00:00:00+00:00",
    )
    serving = {"image": "tune", "env": {"SALT": "$HOME"}}
    return StudyRecord("up", MODEL, space, (), (), serving, {"image": image}, (trial,))


def test_an_exported_configuration_starts_serves_and_is_limited(
    engine: DockerClient, compose: list[str], tmp_path: Path
) -> None:
    versions = tmp_path / MODEL
    shutil.copytree(HALF_PLUS_TWO / "00000123", versions / "123")
    study = record(build_image(engine, print))
    port = two_free_ports()
    file = tmp_path / "compose.yaml"
    file.write_text(to_compose(study, study.trials[0], versions, port))
    project = f"tune-test-{uuid.uuid4().hex[:12]}"
    command = [*compose, "-p", project, "-f", str(file)]
    labelled: dict[str, str | list[str] | bool] = {"label": f"com.docker.compose.project={project}"}
    try:
        up = subprocess.run([*command, "up", "-d"], capture_output=True, text=True, check=False)
        assert up.returncode == 0, up.stderr
        for replica in (port, port + 1):
            wait_until_ready(replica)
            reply = requests.post(
                f"http://127.0.0.1:{replica}/v1/models/{MODEL}:predict",
                json={"instances": [1.0, 2.0, 5.0]},
                timeout=10,
            )
            assert reply.json() == {"predictions": [2.5, 3.0, 4.5]}
        containers = engine.containers.list(filters=labelled)
        assert len(containers) == 2
        for container in containers:
            applied = container.attrs["HostConfig"]
            assert applied["NanoCpus"] == 500_000_000
            assert applied["Memory"] == applied["MemorySwap"] == 192 * 2**20
            assert applied["PidsLimit"] == 1024
            assert applied["ReadonlyRootfs"] is True
            assert applied["CapDrop"] == ["ALL"]
            assert applied["SecurityOpt"] == ["no-new-privileges:true"]
            assert container.attrs["Config"]["User"] == "65534:65534"
            assert "SALT=$HOME" in container.attrs["Config"]["Env"]
            (mount,) = container.attrs["Mounts"]
            assert (mount["Source"], mount["RW"]) == (str(versions), False)
    finally:
        subprocess.run([*command, "down", "-v"], capture_output=True, check=True)
    assert engine.containers.list(all=True, filters=labelled) == []

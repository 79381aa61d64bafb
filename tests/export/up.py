"""What tests need that bring an exported file up on the engine."""

from __future__ import annotations

import io
import re
import shutil
import socket
import subprocess
import tarfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
import requests
from docker import DockerClient
from docker.models.containers import Container

from tests.serving.asked_in_grpc import predict, predict_request
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.serving.base import base_tag
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.study import Objective

MODEL = "half_plus_two"
CONFIGURATION = {"concurrency": 1, "cpu": 0.5, "memory": 192, "replicas": 2, "loss": 0.0}
READY_SECONDS = 60.0

_SAVED_MODEL = Path(__file__).parents[1] / "data" / MODEL / "00000123"


def versions(directory: Path) -> Path:
    """The model's numbered versions, in a directory whose name needs quotes."""
    found = directory / 'it\'s $HOME, "so"'
    shutil.copytree(_SAVED_MODEL, found / "123")
    return found


def record(image: str) -> StudyRecord:
    """A study of one trial, of a name that no other test has."""
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
        values=(5.0,),
        violations={},
        phases={},
        started="2025-01-01T00:00:00+00:00",
    )
    objectives = (Objective("art_ms", "minimize"),)
    serving = {"image": "tune", "env": {"SALT": "$HOME"}}
    name = f"up-{uuid.uuid4().hex[:12]}"
    return StudyRecord(name, MODEL, space, objectives, (), serving, {"image": image}, (trial,))


def free_ports() -> int:
    """The first port for REST of two replicas: it, the next and the two before are free now.

    They are ports of loopback; the two before are those that an export publishes for gRPC.
    """
    for _ in range(100):
        with ExitStack() as bound:
            first = bound.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for other in (port + 1, port + 2, port + 3):
                    bound.enter_context(socket.socket()).bind(("127.0.0.1", other))
            except (OSError, OverflowError):
                continue
            return port + 2
    pytest.fail("no four neighbouring free ports")


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


def check_answers(port: int) -> None:
    reply = requests.post(
        f"http://127.0.0.1:{port}/v1/models/{MODEL}:predict",
        json={"instances": [1.0, 2.0, 5.0]},
        timeout=10,
    )
    assert reply.status_code == 200, reply.text
    assert reply.json() == {"predictions": [2.5, 3.0, 4.5]}


def check_answers_in_grpc(port: int, *, patience: float = 0.0) -> None:
    """The same asked in gRPC; for so many seconds nobody need answer."""
    deadline = time.monotonic() + patience
    # A connection of its own each time, which gRPC would share.
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as one:
        while True:
            try:
                reply = predict(one, predict_request(1.0, 2.0, 5.0))
                break
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    assert list(reply.outputs["y"].float_val) == [2.5, 3.0, 4.5]


def check_limits(container: Container, model: Path) -> None:
    """It is limited and hardened as a measured one."""
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
    assert (mount["Source"], mount["RW"]) == (str(model), False)


def wait_until_healthy(container: Container) -> None:
    """The check of the file says that it serves."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        container.reload()
        health = container.attrs["State"]["Health"]
        if health["Status"] == "healthy":
            return
        time.sleep(0.2)
    pytest.fail(f"not healthy within {READY_SECONDS:g} s: {health}")


def nginx_image(engine: DockerClient) -> str:
    """An image with the nginx of this machine; the caller removes it. Skips where there is none."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    linked = subprocess.run(["ldd", nginx], capture_output=True, text=True, check=True).stdout
    libraries = [p for p in re.findall(r"=> (\S+)", linked) if "/libc.so" not in p]
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        recipe = f"FROM {base_tag()}\nCOPY bin/ /usr/sbin/\nCOPY lib/ /usr/lib/\n".encode()
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(recipe)
        archive.addfile(info, io.BytesIO(recipe))
        archive.add(Path(nginx).resolve(), "bin/nginx")
        for library in libraries:
            archive.add(Path(library).resolve(), f"lib/{Path(library).name}")
    context.seek(0)
    tag = f"tune-test-nginx:{uuid.uuid4().hex[:12]}"
    engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
    return tag

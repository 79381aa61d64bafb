import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import grpc
import pytest
import requests
from docker import DockerClient
from docker.models.containers import Container

from tests.serving.asked_in_grpc import predict, predict_request
from tuner.errors import SetupError
from tuner.serving.image import TENSORFLOW, base_tag, build_image, find_image, image_tag
from tuner.serving.servers.table import container_plan
from tuner.serving.wheels import REQUIREMENTS, kept_members
from tuner.spec.study import ModelSpec, ServingSpec

HALF_PLUS_TWO = Path(__file__).parents[1] / "data" / "half_plus_two"


def test_tags_name_their_content() -> None:
    assert image_tag().startswith("tune-serving:")
    assert base_tag().startswith("tune-base:")
    assert image_tag() == image_tag()


def test_the_lock_has_a_hash_for_every_requirement_and_no_address() -> None:
    lock = REQUIREMENTS.read_text()
    entries = [entry for entry in lock.replace("\\\n", "").splitlines() if "==" in entry]
    wanted = {
        line.partition("==")[0]
        for line in REQUIREMENTS.with_suffix(".in").read_text().splitlines()
        if not line.startswith("#")
    }
    assert {entry.partition("==")[0] for entry in entries} == wanted
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock


def test_only_tensorflows_libraries_and_messages_are_kept(tmp_path: Path) -> None:
    names = {
        "tensorflow/__init__.py": False,
        "tensorflow/python/ops/math_ops.py": False,
        "tensorflow/include/tensorflow/c/c_api.h": False,
        "tensorflow/libtensorflow_cc.so.2": True,
        "tensorflow/libtensorflow_framework.so.2": True,
        "tensorflow/core/__init__.py": True,
        "tensorflow/core/protobuf/meta_graph_pb2.py": True,
        "tensorflow_cpu-2.dist-info/LICENSE": True,
        "tensorflow_cpu-2.data/scripts/run": False,
        "numpy/_core/multiarray.py": True,
        "numpy/_core/tests/test_multiarray.py": False,
    }
    path = tmp_path / "some.whl"
    with ZipFile(path, "w") as wheel:
        for name in names:
            wheel.writestr(name, "")
    with ZipFile(path) as wheel:
        kept = {member.filename for member in kept_members(wheel)}
    assert kept == {name for name, wanted in names.items() if wanted}


@pytest.mark.docker
def test_an_image_that_is_missing_is_a_setup_error(
    engine: DockerClient,
) -> None:
    missing = replace(TENSORFLOW, repository="tune-serving-missing")
    with pytest.raises(SetupError) as caught:
        find_image(engine, missing)
    assert caught.value.mend == "tune image build"


@pytest.fixture(scope="module")
def built(engine: DockerClient) -> str:
    return build_image(engine, print)


@pytest.mark.docker
def test_building_again_does_nothing(engine: DockerClient, built: str) -> None:
    said: list[str] = []
    before = engine.images.get(built).id
    assert build_image(engine, said.append) == built == find_image(engine)
    assert engine.images.get(built).id == before
    assert said == [f"serving image {built} is already built"]


@contextmanager
def hardened(engine: DockerClient, image: str) -> Iterator[Container]:
    plan = container_plan(ServingSpec(), ModelSpec("half_plus_two", "", Path(), Path()), image)
    container = engine.containers.run(
        plan.image,
        list(plan.command),
        detach=True,
        environment=dict(plan.environment),
        user=plan.user,
        tmpfs=dict(plan.tmpfs),
        volumes={str(HALF_PLUS_TWO): {"bind": str(plan.model_mount), "mode": "ro"}},
        ports={f"{port}/tcp": ("127.0.0.1", 0) for port in plan.ports.values()},
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="256m",
        memswap_limit="256m",
        nano_cpus=10**9,
        pids_limit=128,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def address_when_ready(container: Container) -> str:
    """The published address, once the model is available there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        container.reload()
        assert container.status == "running", container.logs().decode()
        published = container.ports["8501/tcp"]
        assert published
        port = published[0]["HostPort"]
        address = f"http://127.0.0.1:{port}/v1/models/half_plus_two"
        try:
            if requests.get(address, timeout=5).ok:
                return address
        except requests.ConnectionError:
            time.sleep(0.05)  # not listening yet; the next round sees whether it still runs
    pytest.fail(f"never ready:\n{container.logs().decode()}")


def predicted_by_grpc(container: Container, value: float) -> float:
    published = container.ports["8500/tcp"]
    assert published
    port = published[0]["HostPort"]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = predict(channel, predict_request(value))
    (found,) = answer.outputs["y"].float_val
    return float(found)


@pytest.mark.docker
def test_a_hardened_container_answers_and_leaves_on_sigterm(
    engine: DockerClient, built: str
) -> None:
    with hardened(engine, built) as container:
        address = address_when_ready(container)
        answer = requests.post(f"{address}:predict", '{"instances": [1, 2, 5]}', timeout=5)
        assert answer.json() == {"predictions": [2.5, 3.0, 4.5]}
        assert predicted_by_grpc(container, 2.0) == 3.0
        assert container.exec_run(["id", "-u"]).output == b"65534\n"
        container.kill("SIGTERM")
        assert container.wait(timeout=30)["StatusCode"] == 0


@pytest.mark.docker
def test_the_cpu_limit_decides_the_threads(engine: DockerClient, built: str) -> None:
    """One CPU: one thread within an operation, and two requests worked on."""
    with hardened(engine, built) as container:
        address_when_ready(container)
        log = container.logs().decode()
        assert "REST on port 8501, threads 2," in log
        assert "intra-op 1," in log


@pytest.mark.docker
def test_the_base_has_the_tools_for_packet_loss(engine: DockerClient, built: str) -> None:
    assert built
    tools = ["iptables", "iptables-legacy", "tc", "ethtool", "python3"]
    output = engine.containers.run(
        base_tag(),
        ["sh", "-c", f"for tool in {' '.join(tools)}; do command -v $tool; done"],
        remove=True,
        network_mode="none",
    )
    assert [path.rpartition("/")[2] for path in output.decode().split()] == tools

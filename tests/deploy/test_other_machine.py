"""An engine on another machine: a second one here, in namespaces of its own behind a veth pair.

It needs root, a `dockerd` and some 30 seconds, most of them to copy the images.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from docker import DockerClient
from docker.errors import DockerException

from tuner.deploy.docker_deployer import DockerDeployer
from tuner.errors import SetupError
from tuner.load.sender import LoadGenerator
from tuner.serving.image import base_tag
from tuner.serving.servers.call import Call
from tuner.spec.study import (
    DeploymentSpec,
    LoadProfile,
    LoadSpec,
    ModelSpec,
    NetworkSpec,
    ServingSpec,
)

pytestmark = pytest.mark.docker

PREDICT = "/v1/models/half_plus_two:predict"
PROGRAMS = ("dockerd", "ip", "nsenter", "unshare")
START = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
exec dockerd --host "tcp://$1:2375" --tls=false --data-root "$2/data" --exec-root "$2/exec" \
    --pidfile "$2/pid" --cgroup-parent "/$3"
"""
PATIENCE = 30.0


@pytest.fixture(scope="module")
def elsewhere(engine: DockerClient, serving_image: str) -> Iterator[DockerClient]:
    """A client of the other engine, which has the images and which `DOCKER_HOST` names."""
    if os.geteuid() != 0 or any(shutil.which(program) is None for program in PROGRAMS):
        pytest.skip(f"a second engine needs root and {', '.join(PROGRAMS)}")
    name = f"tune-test-{os.getpid()}"
    # Addresses for tests of networks, RFC 2544.
    here, there = (f"198.18.{os.getpid() % 256}.{n}" for n in (1, 2))
    near, far = f"tt{os.getpid()}a", f"tt{os.getpid()}b"
    with ExitStack() as world:
        # Not below /tmp: overlays need a file system of the common kind.
        directory = tempfile.mkdtemp(prefix="tune-engine-", dir="/var/tmp")
        world.callback(shutil.rmtree, directory)
        world.callback(_remove_groups, name)
        _do("ip", "netns", "add", name)
        world.callback(_do, "ip", "netns", "del", name)
        _do("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _do("ip", "addr", "add", f"{here}/24", "dev", near)
        _do("ip", "link", "set", near, "up")
        _do("ip", "-n", name, "addr", "add", f"{there}/24", "dev", far)
        _do("ip", "-n", name, "link", "set", far, "up")
        _do("ip", "-n", name, "link", "set", "lo", "up")
        with Path(directory, "log").open("w") as log:
            inside = ["nsenter", f"--net=/run/netns/{name}", "unshare", "--mount", "--pid"]
            inside += ["--fork", "--mount-proc", "--kill-child", "sh", "-ec", START, "sh"]
            process = subprocess.Popen([*inside, there, directory, name], stdout=log, stderr=log)
        world.callback(_end, process)
        host = f"tcp://{there}:2375"
        client = world.enter_context(_connected(host, process))
        for tag in (base_tag(), serving_image):
            client.images.load(engine.images.get(tag).save(named=tag))  # type: ignore[arg-type] # a stream will do
        patch = world.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("DOCKER_HOST", host)
        yield client


@contextmanager
def _connected(host: str, process: subprocess.Popen[bytes]) -> Iterator[DockerClient]:
    """A client, once the engine answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            client = DockerClient(host)
            break
        except DockerException:
            assert process.poll() is None, "the second engine ended"
            assert time.monotonic() < deadline, "the second engine does not answer"
            time.sleep(0.1)
    try:
        yield client
    finally:
        client.close()


def _do(*command: str) -> None:
    subprocess.run(command, check=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The engine is the first process of its namespace: everything in that ends with it.

    What waits for it outside is deaf to SIGTERM, and takes it along when it is killed.
    """
    engines = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    try:
        for pid in engines:
            os.kill(int(pid), signal.SIGTERM)
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def _remove_groups(name: str) -> None:
    for parent in Path("/sys/fs/cgroup").glob(f"**/{name}"):
        for directory, _, _ in os.walk(parent, topdown=False):
            Path(directory).rmdir()


def existing(client: DockerClient) -> set[str]:
    networks = {"bridge", "host", "none"}
    return {
        *(str(c.name) for c in client.containers.list(all=True)),
        *(str(v.name) for v in client.volumes.list()),
        *(str(n.name) for n in client.networks.list() if n.name not in networks),
    }


@pytest.mark.thorough
def test_a_trial_on_another_machine(elsewhere: DockerClient, half_plus_two: ModelSpec) -> None:
    load = LoadSpec(min_seconds=2, max_seconds=2, min_requests=1, warmup_max_seconds=0.5)
    spec = DeploymentSpec(half_plus_two, ServingSpec(), replicas=2, cpu=1.0, memory_mib=256)
    with DockerDeployer(half_plus_two, ServingSpec(), "elsewhere", "apart") as deployer:
        prepared = existing(elsewhere)
        assert len(elsewhere.volumes.list()) == 1
        assert deployer.environment()["cpus"]["placement"] == "other machine"
        with deployer.null_server() as server:
            assert server is not None
            assert not server.local
            ((host, port),) = server.addresses
            assert requests.post(f"http://{host}:{port}/", b"{}", timeout=10).status_code == 200
        with (
            deployer.deploy(spec, "0") as deployment,
            LoadGenerator().connect(
                deployment, LoadProfile(16, load, 1), [Call(PREDICT, b'{"instances": [1.0]}')]
            ) as client,
            deployment.impair(NetworkSpec(loss_in=5, loss_out=5)) as network,
        ):
            assert {host for host, _ in deployment.addresses} == {host}
            assert (deployment.client_namespace, deployment.local) == (None, False)
            burst = client.run()
            drops = network.drops()
            facts = network.facts()
        assert existing(elsewhere) == prepared
    assert existing(elsewhere) == set()
    assert len(burst.samples) > 100
    assert {(d.replica, d.direction) for d in drops} == {
        (r, d) for r in (0, 1) for d in ("in", "out")
    }
    assert all(0 < d.dropped < d.packets / 8 for d in drops)
    assert facts["where"] == {"in": "INPUT of the replica", "out": "OUTPUT of the replica"}
    for before, after in zip(burst.counters_start, burst.counters_end, strict=True):
        assert after.source == "engine statistics"
        assert after.cpu_ns > before.cpu_ns
        assert (after.received_bytes or 0) > (before.received_bytes or 0)
        assert after.wait_ns is None


@pytest.mark.thorough
def test_a_private_page_cache_is_refused_there(
    elsewhere: DockerClient, half_plus_two: ModelSpec
) -> None:
    serving = ServingSpec(page_cache="private")
    with (
        pytest.raises(SetupError, match="another machine"),
        DockerDeployer(half_plus_two, serving, "elsewhere"),
    ):
        pytest.fail("it was entered")
    assert existing(elsewhere) == set()

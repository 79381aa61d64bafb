"""What a process inside a replica can do, tried from inside; the page on security has the table."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.models.containers import Container

from tests.deploy import probe
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.helper import run_commands, start_helper
from tuner.deploy.ownership import LABEL, Owner, remove_container
from tuner.serving.base import base_tag
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

pytestmark = pytest.mark.docker

SCRIPT = Path(probe.__file__).read_text(encoding="utf-8")
PAGE = Path(__file__).parents[2] / "docs/explanation/security.md"
MIB = 2**20

At = tuple[str, int]
Found = Mapping[str, Any]

HARMLESS = {"full", "null", "pts/ptmx", "random", "urandom", "zero"}
"""Devices that hold nothing; the third makes terminals."""

GATEWAY = "a port of the host at the bridge's gateway"
ELSEWHERE = "the same port at another address of the host"
METADATA = "169.254.169.254, a cloud's metadata"
UNREACHABLE = {"ENETUNREACH", "EHOSTUNREACH", "ETIMEDOUT", "EADDRNOTAVAIL"}


@contextmanager
def listening(address: str, family: socket.AddressFamily) -> Iterator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server((address, 0), family=family) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def accept() -> None:
            while not ended.is_set():
                try:
                    server.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            thread.join()


def tried(container: Container, ports: Mapping[str, At]) -> Found:
    asked = json.dumps({"ports": ports})
    code, output = container.exec_run(["python3", "-c", SCRIPT, asked])
    assert isinstance(output, bytes)
    assert code == 0, output.decode()
    found: Found = json.loads(output)
    return found


@contextmanager
def careless(engine: DockerClient, image: str) -> Iterator[Container]:
    """As `docker run` makes it when nobody asks for more: it shows that the probe can see."""
    container = engine.containers.create(
        image,
        entrypoint=["sleep", "infinity"],
        command=[],
        user="0",
        labels={LABEL: str(Owner.this())},
        stop_signal="SIGKILL",
    )
    try:
        container.start()
        container.reload()
        yield container
    finally:
        remove_container(container)


def gateway(engine: DockerClient, container: Container) -> str:
    """The first address of its bridge, which is this machine's on an ordinary one."""
    ((name, settings),) = container.attrs["NetworkSettings"]["Networks"].items()
    if not settings["Gateway"]:
        (settings,) = engine.networks.get(name).attrs["IPAM"]["Config"]
    return str(settings["Gateway"])


def link_local(container: Container) -> str:
    """The address that IPv6 gives the host's end of the container's bridge by itself."""
    ((_, settings),) = container.attrs["NetworkSettings"]["Networks"].items()
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, *_, device = line.split()
        if device == f"br-{settings['NetworkID'][:12]}":
            return f"{ipaddress.IPv6Address(int(digits, 16))}%eth0"
    return "fe80::1%eth0"


def yes(outcome: str) -> str:
    return "yes" if outcome == "allowed" else "no"


def rows(found: Found) -> dict[str, str]:
    """What the page says of one container."""
    own = found["self"]
    none = int(own["CapEff"], 16) == int(own["CapPrm"], 16) == int(own["CapBnd"], 16) == 0
    # How large a root is depends on the machine. A queue is no file, though it has a directory.
    written = {d: room // MIB for d, room in found["writable"].items() if room}
    rooms = [f"`{d}`" if d == "/" else f"`{d}` ({room} MiB)" for d, room in written.items()]
    queues = "/dev/mqueue" in found["writable"]
    return {
        "user": own["Uid"].split()[0],
        "capabilities": "none" if none else "some",
        "`no_new_privs`": {"0": "no", "1": "set"}[own["NoNewPrivs"]],
        "seccomp": {"0": "none", "2": "filter"}[own["Seccomp"]],
        "mount a file system": yes(found["mount"]),
        "make a user namespace": yes(found["user namespace"]),
        "open a raw socket": yes(found["raw socket"]),
        "make files": f"in {', '.join(rooms)}" if rooms else "nowhere",
        "write to files that are there, outside the root": "some"
        if found["writable files"]
        else "none",
        "make message queues in `/dev/mqueue`": "0.8 MB in all" if queues else "none",
        "devices to open": ", ".join(f"`{d}`" for d in found["devices"]) or "none",
        "kernel settings to change": "some" if found["settings"] else "none",
        "bind port 80": yes(found["bind 80"]),
        "bind port 1024": yes(found["bind 1024"]),
        **{f"connect to {name}": yes(answer) for name, answer in found["ports"].items()},
        "most processes and threads": found["most processes"],
    }


def table(**columns: Mapping[str, str]) -> str:
    names = list(columns)
    lines = [["a process may", *names], ["---"] * (len(names) + 1)]
    lines += [[what, *(columns[n][what] for n in names)] for what in columns[names[0]]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def test_a_process_inside_a_replica_can_do_nothing_but_serve(
    docker_deployer: DockerDeployer,
    half_plus_two: ModelSpec,
    engine: DockerClient,
    serving_image: str,
) -> None:
    one = DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)
    other = DeploymentSpec(
        half_plus_two, ServingSpec(image=serving_image), replicas=1, cpu=1.0, memory_mib=256
    )
    with (
        listening("0.0.0.0", socket.AF_INET) as port,
        listening("::", socket.AF_INET6) as port6,
        docker_deployer.deploy(one, "one") as deployment,
        docker_deployer.deploy(other, "other") as neighbour,
        careless(engine, serving_image) as loose,
    ):
        if deployment.client_namespace is None:
            pytest.skip("this process may not enter a network namespace")
        container = deployment.replicas[0].container
        assert container.attrs["HostConfig"]["Dns"] == ["127.0.0.1"]
        found = tried(
            container,
            {
                GATEWAY: (gateway(engine, container), port),
                ELSEWHERE: (gateway(engine, loose), port),
                "a port of the host by IPv6": (link_local(container), port6),
                "a replica of another deployment": neighbour.replicas[0].address,
                "the internet": ("192.0.2.1", 80),  # nobody's: an address for documentation
            },
        )
        assert set(found["ports"].values()) <= UNREACHABLE, found["ports"]
        metadata = tried(container, {METADATA: ("169.254.169.254", 80)})["ports"]
        roomy = tried(neighbour.replicas[0].container, {})
        # Only what is on this machine: no way out of it is taken.
        seen = tried(loose, dict.fromkeys((GATEWAY, ELSEWHERE), (gateway(engine, loose), port)))
    assert set(metadata.values()) <= UNREACHABLE
    found = {**found, "ports": found["ports"] | metadata}
    for who in ("self", "server"):
        status = found[who]
        assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65534"}
    assert found["writable"] == {"/dev/mqueue": 0}  # queues of 0.8 MB in all, RLIMIT_MSGQUEUE
    assert found["writable files"] == []
    assert roomy["writable"] == {"/dev/mqueue": 0, "/tmp": 16 * MIB}
    assert {device.removeprefix("/dev/") for device in found["devices"]} == HARMLESS
    assert found["settings"] == []
    assert found["most processes"] == "1024"
    assert found["others"][0] == 1
    assert len(found["others"]) < 10  # it sees no process of the host
    assert {found[f"bind {port}"] for port in (80, 1023)} == {"EACCES"}
    assert (found["bind 1024"], seen["bind 80"]) == ("allowed", "allowed")
    # The probe sees what there is.
    assert int(seen["self"]["CapEff"], 16) > 0
    assert seen["self"]["NoNewPrivs"] == "0"
    assert set(seen["ports"].values()) == {"allowed"}
    assert {"/", "/dev/shm"} <= seen["writable"].keys()
    loose_rows = rows(seen)
    shown = table(
        **{
            "in a replica": rows(found),
            "in what `docker run IMAGE` starts": {n: loose_rows.get(n, "-") for n in rows(found)},
        }
    )
    assert shown in PAGE.read_text(encoding="utf-8"), f"docs/explanation/security.md:\n{shown}"


def test_a_helper_may_change_one_network_namespace_and_nothing_else(
    docker_deployer: DockerDeployer, half_plus_two: ModelSpec, engine: DockerClient
) -> None:
    spec = DeploymentSpec(half_plus_two, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)
    kinds = ("net", "pid", "mnt", "ipc", "uts")
    with docker_deployer.deploy(spec, "0") as deployment:
        replica = deployment.replicas[0].container
        helper = start_helper(
            engine, f"container:{replica.id}", base_tag(), {LABEL: str(Owner.this())}
        )
        try:
            helper.reload()
            host = helper.attrs["HostConfig"]
            assert not host["Binds"]
            assert not host["Privileged"]
            assert not host["PidMode"]
            assert host["CapDrop"] == ["ALL"]
            assert host["ReadonlyRootfs"]
            assert helper.attrs["Mounts"] == []
            own = [f"/proc/self/ns/{kind}" for kind in kinds]
            texts = run_commands(
                helper,
                [
                    ["readlink", *own],
                    ["cat", "/proc/1/status"],
                    ["cat", "/proc/self/status"],
                    ["ls", "/proc"],
                ],
            )
            (pid,) = {replica.attrs["State"]["Pid"]}
        finally:
            remove_container(helper)
        spaces = dict(zip(kinds, texts[0].split(), strict=True))
        assert spaces["net"] == namespace(pid, "net")
        for kind in kinds:
            assert spaces[kind] != namespace("self", kind)
            assert kind == "net" or spaces[kind] != namespace(pid, kind)
    waits, runs = (status(text) for text in texts[1:3])
    assert int(waits["CapEff"], 16) == int(waits["CapPrm"], 16) == 0
    assert set(waits["Uid"].split()) == {"65534"}
    # NET_ADMIN is 12, NET_RAW is 13; see capability.h.
    assert int(runs["CapEff"], 16) == int(runs["CapBnd"], 16) == 1 << 12 | 1 << 13
    assert {text["Seccomp"] for text in (waits, runs)} == {"2"}
    assert len([name for name in texts[3].split() if name.isdecimal()]) < 10


def namespace(process: object, kind: str) -> str:
    return str(Path(f"/proc/{process}/ns/{kind}").readlink())


def status(text: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

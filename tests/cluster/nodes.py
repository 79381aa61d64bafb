"""Several machines on one: Docker Engines with namespaces of their own, joined by a bridge.

Each node has a network, a host name, processes and mounts of its own, and its data below the
cluster's directory. The bridge that joins them is in a namespace of its own too: in this machine's,
the rules of this machine's engine would drop what crosses it. This machine is on the bridge as a
further host, so whoever runs the tests is to the nodes what a user's machine is to a swarm.

A node that is killed ends like a machine without power: its containers end with it.

An engine listens at a socket of its own, which this machine sees, at the usual one of its node, and
at a port with TLS. All nodes and their users have one certificate, which signs itself. A registry
on the bridge needs none.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import DockerException
from docker.models.containers import Container as DockerContainer

from tests.deploy.endpoints import self_signed
from tuner.deploy.swarm_nodes import ENGINE_LABEL

PROGRAMS = ("dockerd", "ip", "nsenter", "openssl", "unshare", "umount")
PATIENCE_SECONDS = 60.0
TLS_PORT = 2376
_HERE = 254

_START = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
hostname "$1"
exec dockerd --host "unix://$2/sock" --host unix:///run/docker.sock --host "tcp://$4" \
    --insecure-registry "$6" \
    --tlsverify --tlscacert "$5/ca.pem" --tlscert "$5/cert.pem" --tlskey "$5/key.pem" \
    --data-root "$2/data" --exec-root "$2/exec" --pidfile "$2/pid" --cgroup-parent "/$3"
"""


def why_no_nodes() -> str:
    """Why there can be none here; empty where there can."""
    if os.geteuid() != 0:
        return "machines in namespaces need root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"machines in namespaces need {', '.join(missing)}" if missing else ""


@dataclass
class Node:
    """One machine: an engine at `address` on the bridge, whose files are in `directory`.

    `space` is the name of its network namespace, and of the parent of its containers' control
    groups. In `certificates` are `ca.pem`, `cert.pem` and `key.pem`.
    """

    name: str
    space: str
    address: str
    directory: Path
    certificates: Path
    _engine: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def host(self) -> str:
        """What `DOCKER_HOST` is for its engine."""
        return f"unix://{self.directory / 'sock'}"

    @property
    def inside(self) -> list[str]:
        """What to put before a command that is to run on the node; its engine runs."""
        (engine,) = self._processes()
        return ["nsenter", f"--target={engine}", "--net", "--mount", "--uts", "--pid"]

    @property
    def running(self) -> bool:
        return self._engine is not None

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def start(self) -> None:
        """Start its engine; `wait` says when it answers."""
        assert self._engine is None
        for left in ("pid", "sock", "exec"):  # of one that was killed
            path = self.directory / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        # Not by `ip netns exec`: it mounts a /sys without control groups.
        inside = ["nsenter", f"--net=/run/netns/{self.space}", "unshare", "--mount", "--uts"]
        inside += ["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-ec", _START, "sh"]
        with self.log.open("ab") as log:
            self._engine = subprocess.Popen(
                [
                    *(*inside, self.name, str(self.directory), self.space),
                    *(f"{self.address}:{TLS_PORT}", str(self.certificates)),
                    f"{self.address}/24",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until its engine answers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self.client():
                    return
            except (DockerException, OSError):
                said = self.log.read_text(errors="replace").splitlines()[-3:]
                ended = self._engine is None or self._engine.poll() is not None
                assert not ended, f"the engine of {self.name} ended: {said}"
                assert time.monotonic() < deadline, f"the engine of {self.name} is silent: {said}"
                time.sleep(0.1)

    @contextmanager
    def client(self) -> Iterator[DockerClient]:
        if not (self.directory / "sock").exists():
            # Docker's client would leave a socket open where nobody answers.
            raise ConnectionError(f"{self.name} has no socket")
        client = DockerClient(self.host)
        try:
            yield client
        finally:
            client.close()

    def kill(self) -> None:
        """End it at once, with all that runs on it."""
        for pid in self._processes():
            os.kill(pid, signal.SIGKILL)
        self._ended()

    def stop(self) -> None:
        """End it in good order."""
        for pid in self._processes():
            os.kill(pid, signal.SIGTERM)
        self._ended()

    def _processes(self) -> list[int]:
        """The first process of its process namespace: the engine."""
        engine = self._engine
        if engine is None or engine.poll() is not None:
            return []
        children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def _ended(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        try:
            engine.wait(PATIENCE_SECONDS)
        finally:
            # What waits for it outside is deaf to SIGTERM, and takes it along when it is killed.
            engine.kill()
            engine.wait()


@dataclass(frozen=True)
class Cluster:
    """Nodes that are one swarm. The first is its manager; all may run replicas."""

    nodes: tuple[Node, ...]

    @property
    def manager(self) -> Node:
        return self.nodes[0]

    @property
    def here(self) -> str:
        """The address of this machine on their bridge."""
        return f"{self.manager.address.rpartition('.')[0]}.{_HERE}"

    def load(self, source: DockerClient, images: Iterable[str], *nodes: Node) -> None:
        """Copy images from another engine to `nodes`, by default all."""
        for node in nodes or self.nodes:
            with node.client() as client:
                for image in images:
                    # In parts: as a whole an image is a gigabyte.
                    parts = source.images.get(image).save(named=image)
                    client.images.load(parts)  # type: ignore[arg-type] # it is posted, as a file is

    def update(self, name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- Docker's
        """Change parts of a node's specification; what it was before."""
        with self.manager.client() as manager:
            (found,) = [
                node
                for node in manager.nodes.list()
                if node.attrs["Description"]["Hostname"] == name
            ]
            before: dict[str, Any] = found.attrs["Spec"]
            found.update(before | changes)
            return before

    @contextmanager
    def labelled(self, engines: Mapping[str, str | None]) -> Iterator[None]:
        """Inside, these nodes have another label of where their engine is, or none."""
        before = {
            name: self.update(name, Labels={ENGINE_LABEL: engine} if engine else {})
            for name, engine in engines.items()
        }
        try:
            yield
        finally:
            for name, spec in before.items():
                self.update(name, Labels=spec["Labels"])

    def existing(self) -> set[str]:
        """The containers, volumes and services there are, with the node that has each."""
        with self.manager.client() as client:
            services = {f"service {service.name}" for service in client.services.list()}
        return services | self.existing_on(*self.nodes)

    def existing_on(self, *nodes: Node) -> set[str]:
        found = set()
        for node in nodes:
            with node.client() as client:
                found |= {
                    f"{node.name}: {kind} {name}"
                    for kind, names in (
                        ("container", [c.name for c in _containers(client)]),
                        ("volume", [v.name for v in client.volumes.list()]),
                    )
                    for name in names
                }
        return found


def _containers(client: DockerClient) -> list[DockerContainer]:
    return client.containers.list(all=True, ignore_removed=True)


@contextmanager
def cluster(count: int) -> Iterator[Cluster]:
    """A swarm of `count` nodes, each with the label of its engine; it is removed at the end."""
    mark = f"tn{os.getpid()}"
    # Addresses for tests of networks, RFC 2544.
    net = f"198.19.{os.getpid() % 256}"
    with ExitStack() as world:
        # Not below /tmp: overlays need a file system of the common kind.
        directory = Path(tempfile.mkdtemp(prefix="tune-cluster-", dir="/var/tmp"))
        world.callback(shutil.rmtree, directory)
        switch = f"{mark}s"
        _space(world, switch)
        _do("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
        _do("ip", "-n", switch, "link", "set", "bridge", "up")
        here = f"{mark}h"
        _do("ip", "link", "add", here, "type", "veth", "peer", "name", "here", "netns", switch)
        world.callback(_do, "ip", "link", "del", here)
        _plug(switch, "here")
        _do("ip", "addr", "add", f"{net}.{_HERE}/24", "dev", here)
        _do("ip", "link", "set", here, "up")
        certificates = _certificates(directory, [f"{net}.{n}" for n in range(1, count + 1)])
        nodes = []
        for number in range(1, count + 1):
            space, far = f"{mark}n{number}", f"n{number}"
            _space(world, space)
            veth = ("type", "veth", "peer", "name", "eth0", "netns", space)
            _do("ip", "-n", switch, "link", "add", far, *veth)
            _plug(switch, far)
            _do("ip", "-n", space, "addr", "add", f"{net}.{number}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _do("ip", "-n", space, "link", "set", link, "up")
            home = directory / far
            home.mkdir()
            world.callback(_remove_groups, space)
            node = Node(f"node{number}", space, f"{net}.{number}", home, certificates)
            world.callback(node.kill)
            node.start()
            nodes.append(node)
        for node in nodes:
            node.wait()
        joined = Cluster(tuple(nodes))
        _join(joined)
        yield joined


def _join(joined: Cluster) -> None:
    first = joined.manager

    def at(node: Node) -> dict[str, Any]:
        return {"advertise_addr": node.address, "listen_addr": f"{node.address}:2377"}

    with first.client() as manager:
        # No overlay network is used, so none of the pools of addresses is.
        manager.swarm.init(**at(first), task_history_retention_limit=1)
        manager.swarm.reload()
        token = manager.swarm.attrs["JoinTokens"]["Worker"]
        for node in joined.nodes[1:]:
            with node.client() as client:
                client.swarm.join([f"{first.address}:2377"], token, **at(node))
    for node in joined.nodes:
        joined.update(node.name, Labels={ENGINE_LABEL: node.host})


def _certificates(directory: Path, addresses: Iterable[str]) -> Path:
    """A directory as `DOCKER_CERT_PATH` names one, for nodes and their users."""
    place = directory / "certificates"
    place.mkdir(mode=0o700)
    self_signed(place, *addresses)
    shutil.copy(place / "ca.pem", place / "cert.pem")
    return place


def _space(world: ExitStack, name: str) -> None:
    _do("ip", "netns", "add", name)
    world.callback(_do, "ip", "netns", "del", name)


def _plug(switch: str, link: str) -> None:
    """Connect an end that is in the switch's namespace with the bridge."""
    _do("ip", "-n", switch, "link", "set", link, "master", "bridge")
    _do("ip", "-n", switch, "link", "set", link, "up")


def _do(*command: str) -> None:
    subprocess.run(command, check=True)


def _remove_groups(name: str) -> None:
    """Remove the control groups that an engine left. It cannot where a process is left in one."""
    for parent in Path("/sys/fs/cgroup").glob(f"**/{name}"):
        for directory, _, _ in os.walk(parent, topdown=False):
            Path(directory).rmdir()

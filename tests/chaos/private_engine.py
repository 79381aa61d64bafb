"""A Docker Engine of a test's own, which it may stop, kill, freeze and start again.

It has a directory and a network namespace of its own. Without the latter two engines on one host
would share iptables, whose chains an engine empties when it starts. So what is to reach its
containers must run in that namespace too (`PrivateEngine.inside`).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from docker import DockerClient

PATIENCE_SECONDS = 60.0

_TOOLS = ("dockerd", "nsenter", "unshare", "iptables", "ip", "umount")


def why_no_private_engine() -> str:
    """Why none can be started here; empty where one can."""
    if os.geteuid() != 0:
        return "a private Docker Engine needs root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    return f"a private Docker Engine needs {', '.join(missing)}" if missing else ""


@dataclass
class PrivateEngine:
    """An engine whose files are below `directory`. It runs inside `running`."""

    directory: Path
    _holder: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _engine: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> Path:
        """Its socket."""
        return self.directory / "docker.sock"

    @property
    def host(self) -> str:
        """What `DOCKER_HOST` is for it."""
        return f"unix://{self.address}"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def inside(self, command: Sequence[str]) -> list[str]:
        """`command`, to be run in the engine's network namespace; the process stays the same."""
        assert self._holder is not None
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--", *command]

    def environment(self) -> Mapping[str, str]:
        """This process's environment, with the private engine as Docker's."""
        return {**os.environ, "DOCKER_HOST": self.host}

    @contextmanager
    def running(self) -> Iterator[PrivateEngine]:
        """Start it, and end it with all its containers, networks and files."""
        # The namespace lives as long as a process in it, longer than the engine.
        with subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec sleep infinity"],
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as holder:
            self._holder = holder
            try:
                assert holder.stdout is not None
                holder.stdout.readline()
                self.start()
                yield self
            finally:
                try:
                    self._clear()
                finally:
                    holder.kill()
                    self._holder = None

    def start(self) -> None:
        """Start the engine, and wait until it answers. What it ran before it was killed, ends."""
        try:
            self._start()
        except RuntimeError as error:
            if "panic" not in str(error):
                raise
            # Killed while it made or removed a network, dockerd 20.10 cannot read its own list of
            # networks any more, until somebody removes it.
            self._forget_networks()
            self._start()

    def _start(self) -> None:
        assert self._engine is None
        command = [
            *("dockerd", f"--host={self.host}"),
            f"--data-root={self.directory / 'data'}",
            f"--exec-root={self.directory / 'exec'}",
            f"--pidfile={self.directory / 'pid'}",
        ]
        # A killed engine leaves its number and that of its containerd. Other processes may have
        # them by now, and its own may be a zombie yet.
        for left in ("pid", "exec/containerd/containerd.pid"):
            (self.directory / left).unlink(missing_ok=True)
        begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._engine = subprocess.Popen(
                self.inside(command),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            if self._engine.poll() is not None:
                self._engine = None
                raise RuntimeError(f"the private engine did not start: {self._said_since(begun)}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the private engine is silent: {self._said_since(begun)}")
            time.sleep(0.1)

    def _forget_networks(self) -> None:
        (self.directory / "data/network/files/local-kv.db").unlink(missing_ok=True)
        shown = subprocess.run(
            self.inside(["ip", "-oneline", "link", "show", "type", "bridge"]),
            capture_output=True,
            text=True,
            check=True,
        )
        for line in shown.stdout.splitlines():
            name = line.split(": ")[1]
            subprocess.run(self.inside(["ip", "link", "delete", name]), check=True)

    def _said_since(self, begun: int) -> str:
        """Its last words, and the line that says so where it was a panic."""
        lines = self.log.read_bytes()[begun:].decode(errors="replace").splitlines()
        panic = [line for line in lines if line.startswith(("panic", "fatal error"))]
        return " / ".join([*panic, *lines[-5:]])

    def answers(self) -> bool:
        # Not by Docker's client, which leaves a socket open where nobody answers.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self.address))
                probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 OK" in probe.recv(64)
            except OSError:
                return False

    def stop(self) -> None:
        """End it politely. It ends its containers."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL. Its containers go on."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it answer nothing until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[DockerClient]:
        client = DockerClient(self.host)
        try:
            yield client
        finally:
            client.close()

    def load(self, source: DockerClient, images: Iterable[str]) -> None:
        """Copy images from another engine."""
        with self.client() as client:
            for image in images:
                # In parts: as a whole an image is a gigabyte.
                parts = source.images.get(image).save(named=image)
                client.images.load(parts)  # type: ignore[arg-type] # it is posted, as a file is

    def clean(self) -> None:
        """Bring it up, without a container and without a network or volume of anybody's."""
        if self._engine is not None and self._engine.poll() is not None:
            self._engine = None
        if self._engine is None:
            self.start()
        self.thaw()
        with self.client() as client:
            for container in client.containers.list(all=True, ignore_removed=True):
                container.remove(force=True, v=True)
            client.networks.prune()
            for volume in client.volumes.list():
                volume.remove(force=True)

    def _signal(self, number: int) -> None:
        assert self._engine is not None
        self._engine.send_signal(number)

    def _end(self, number: int) -> None:
        assert self._engine is not None
        self._signal(number)
        self._signal(signal.SIGCONT)
        self._engine.wait(PATIENCE_SECONDS)
        self._engine = None

    def _clear(self) -> None:
        """End the engine, and what it left running and mounted where it could not do so itself."""
        if self._engine is not None:
            if self._engine.poll() is None:
                self.stop()
            self._engine = None
        containers = self.directory / "data" / "containers"
        identities = [path.name for path in containers.iterdir()] if containers.is_dir() else []
        for pid in _processes_of(str(self.directory / "exec"), identities):
            os.kill(pid, signal.SIGKILL)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted(mounts, reverse=True):
            if Path(mount).is_relative_to(self.directory):
                subprocess.run(["umount", "--lazy", mount], check=True)
        for name in ("data", "exec"):
            shutil.rmtree(self.directory / name)
        for identity in identities:
            for group in Path("/sys/fs/cgroup").glob(f"**/docker/{identity}"):
                group.rmdir()


def _processes_of(exec_root: str, containers: Sequence[str]) -> Iterator[int]:
    """Ids of the engine's shims, and of the processes in its containers."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            groups = (process / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        shim = "containerd-shim" in command and exec_root in command
        if shim or any(identity in groups for identity in containers):
            yield int(process.name)

"""What a block of a test left behind, on the engine, on the host and in a directory.

What was there before does not count. What is about to go may go: it is looked for again until
nothing is left, or until it stays.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient

from tests.chaos.private_engine import PrivateEngine
from tuner.deploy.docker_deployer import STUDY_LABEL
from tuner.deploy.ownership import LABEL
from tuner.deploy.projects import PROJECT_LABEL

MARK = "TUNE_CHAOS"
"""An environment variable. Processes that have it with a test's value are those of the test."""

PATIENCE_SECONDS = 30.0

_HALF_WRITTEN = (".tune.*", "*.parquet.*", "*.tmp", "*.part")


@dataclass(frozen=True)
class Watched:
    """Where to look.

    On the engine of `client`: only what has the name of `study`, if that is given, since others may
    use the engine. On the host: processes whose environment has `MARK` as `mark`. In `directory`:
    half-written files. In the network namespace of `private`: iptables; and its namespaces.
    """

    client: DockerClient | None = None
    study: str | None = None
    mark: str | None = None
    directory: Path | None = None
    private: PrivateEngine | None = None

    def found(self) -> frozenset[str]:
        """All that is there now, each in words."""
        return frozenset(
            [
                *(self._on_engine(self.client) if self.client else ()),
                *(_processes(self.mark) if self.mark else ()),
                *(_half_written(self.directory) if self.directory else ()),
                *(_of_network(self.private) if self.private else ()),
            ]
        )

    @contextmanager
    def nothing_left(self) -> Iterator[None]:
        """Fail where the block leaves something."""
        before = self.found()
        yield
        left = self.left_since(before)
        assert not left, f"left behind: {', '.join(left)}"

    def left_since(self, before: frozenset[str]) -> Sequence[str]:
        """What is there and was not, once nothing changes any more; for a row of the table."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := sorted(self.found() - before)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def _on_engine(self, client: DockerClient) -> Iterator[str]:
        for container in client.containers.list(all=True, ignore_removed=True):
            if self._is_ours(container.labels):
                yield f"container {container.name}"
        for network in client.networks.list():
            if self._is_ours(network.attrs.get("Labels") or {}):
                yield f"network {network.name}"
        for volume in client.volumes.list():
            if self._is_ours(volume.attrs.get("Labels") or {}):
                yield f"volume {volume.name}"

    def _is_ours(self, labels: Mapping[str, str]) -> bool:
        if self.study is not None:
            return labels.get(STUDY_LABEL) == self.study
        return LABEL in labels or labels.get(PROJECT_LABEL, "").startswith("tune")


def words(left: Sequence[str]) -> str:
    """What is left, for a cell of the table."""
    return ", ".join(left) or "nothing"


def _processes(mark: str) -> Iterator[str]:
    wanted = f"{MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is another user's
        if wanted in variables and int(process.name) != os.getpid():
            yield f"process {process.name} ({command})"


def _half_written(directory: Path) -> Iterator[str]:
    found = {path for pattern in _HALF_WRITTEN for path in directory.rglob(pattern)}
    return (f"file {path.relative_to(directory)}" for path in sorted(found))


def _of_network(private: PrivateEngine) -> Iterable[str]:
    saved = subprocess.run(
        private.inside(["iptables-save"]), check=True, capture_output=True, text=True
    ).stdout
    rules = (line for line in saved.splitlines() if line.startswith("-A"))
    yield from (f"iptables rule {rule}" for rule in rules)
    # One that is not mounted is an empty file, which the engine removes within a minute or so.
    spaces = private.directory / "exec" / "netns"
    mounts = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines()]
    yield from (f"network namespace {path.name}" for path in mounts if path.parent == spaces)
    links = subprocess.run(
        private.inside(["ip", "-o", "link"]), check=True, capture_output=True, text=True
    ).stdout
    for line in links.splitlines():
        name = line.split(": ")[1].partition("@")[0]
        # Veths have names by chance and go with their containers, a moment after them.
        yield f"network interface {name}"

"""A Dask scheduler and workers of `tune`, each a process on 127.0.0.1."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

TUNE = (
    "import sys; sys.path.insert(0, {root!r});"
    "from tests.backends import paced; paced.install(); {change};"
    "from tuner.cli import whole_process; whole_process()"
)


def tune_process(
    *arguments: str,
    change: str = "pass",
    inside: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[str]:
    """`tune` as a process that knows the backend `paced`; `change` is Python that it runs first.

    `inside` is what is put before the command.
    """
    return subprocess.Popen(
        [*inside, sys.executable, "-c", TUNE.format(root=str(ROOT), change=change), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )


def of_another_clock(days: int) -> list[str]:
    """What to put before a command to set its monotonic clock ahead (a Linux time namespace)."""
    seconds = str(86_400 * days)
    return ["unshare", "--time", "--fork", "--kill-child", "--monotonic", seconds]


def until(holds: Callable[[], bool], seconds: float = 300.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


@dataclass
class Cluster:
    """A scheduler at `on`, and the workers that were started, by name."""

    on: str
    world: ExitStack
    scheduler: subprocess.Popen[str]
    workers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.on.replace("dask://", "tcp://")

    def start(
        self,
        name: str,
        change: str = "pass",
        cwd: Path | None = None,
        backend: str = "paced",
        inside: Sequence[str] = (),
        options: Sequence[str] = (),
        **environment: str,
    ) -> subprocess.Popen[str]:
        """Start a worker; it is there once it said so (`joined`)."""
        arguments = ("worker", "--dask", self.address, "--backend", backend, "--name", name)
        process = tune_process(
            *arguments, *options, change=change, inside=inside, environment=environment, cwd=cwd
        )
        self.workers[name] = process
        self.world.callback(_end, process)
        return process

    def joined(self, *names: str) -> None:
        for name in names:
            process = self.workers[name]
            assert process.stdout is not None
            said: list[str] = []
            while not (said and re.match(f"host {name} (measures|sends) for ", said[-1])):
                said.append(process.stdout.readline())
                assert said[-1], "".join(said)

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.workers.pop(name)
        process.send_signal(how)
        process.wait(120)

    def end_scheduler(self) -> None:
        self.scheduler.kill()
        self.scheduler.wait(120)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


@contextmanager
def dask_scheduler(place: Path, host: str = "127.0.0.1") -> Iterator[Cluster]:
    file = place / "scheduler.json"
    command = [
        *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", host),
        *("--port", "0", "--no-dashboard", "--no-show", "--scheduler-file", str(file)),
    ]
    with ExitStack() as world:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        )
        world.callback(_end, process)
        until(lambda: file.exists() and bool(file.read_text()))
        address = json.loads(file.read_text())["address"]
        yield Cluster(address.replace("tcp://", "dask://"), world, process)

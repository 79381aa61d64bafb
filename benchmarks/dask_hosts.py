"""How much faster several hosts are than one: a simulated study whose trials take real time.

    python benchmarks/dask_hosts.py [--hosts 1 2 4 8] [--trials 48] [--seconds 5]

Hosts are processes on this machine, which sleep while they "measure", so the table shows what
asking, telling, Dask and the search cost, and nothing of real measurements. "ratio" is the wall
time of one host over that of so many, "of n" its share of what is possible. The wall time begins
when the first host is ready. "proposal" is the mean time that it takes to take a trial, lock and
storage included; "idle" the share of the hosts' time in which they had no trial. The study is the
shipped `mnist`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import optuna  # noqa: E402 -- after the path

from tests.backends import paced  # noqa: E402
from tests.backends.dask_processes import dask_scheduler  # noqa: E402
from tuner import Study  # noqa: E402
from tuner.backends.hosts import HostJoined  # noqa: E402
from tuner.study.loop import Finished, Started  # noqa: E402
from tuner.study.next import Next  # noqa: E402


@dataclass
class Watch:
    """When trials begin and end, and how long it takes to take one; in seconds."""

    began: float = 0.0
    ended: float = 0.0
    measuring: float = 0.0
    proposals: list[float] = field(default_factory=list)
    under_way: dict[int, float] = field(default_factory=dict)

    def observe(self, event: object) -> None:
        now = time.monotonic()
        if isinstance(event, HostJoined) and not self.began:
            self.began = now
        elif isinstance(event, Started):
            self.under_way[event.number] = now
        elif isinstance(event, Finished):
            self.measuring += now - self.under_way[event.record.number]
            self.ended = now

    @property
    def wall(self) -> float:
        return self.ended - self.began


@contextlib.contextmanager
def timed(watch: Watch) -> Any:  # noqa: ANN401 -- a context manager
    take = Next.take

    def timing(self: Next, *arguments: str) -> Any:  # noqa: ANN401
        began = time.monotonic()
        try:
            return take(self, *arguments)
        finally:
            watch.proposals.append(time.monotonic() - began)

    Next.take = timing  # type: ignore[method-assign]
    try:
        yield
    finally:
        Next.take = take  # type: ignore[method-assign]


def run(hosts: int, trials: int, seconds: float) -> Watch:
    """A study of so many trials on so many hosts, in a directory that is gone afterwards."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        os.environ["PACED_SECONDS"] = str(seconds)
        with dask_scheduler(Path(directory)) as cluster:
            names = [f"host-{number}" for number in range(hosts)]
            for name in names:
                cluster.start(name)
            cluster.joined(*names)
            with timed(watch):
                study = Study.open("mnist", backend="paced", on=cluster.on)
                study.run(trials, on_event=watch.observe)
            complete = len(study.record.trials)
            assert complete == trials, f"{complete} of {trials} trials"
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each burst")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    paced.install()
    print(f"{arguments.trials} trials, each burst takes {arguments.seconds:g} s")
    print(f"{'hosts':>5} {'wall (s)':>9} {'ratio':>6} {'of n':>6} {'proposal (s)':>13} {'idle':>6}")
    one = None
    for hosts in arguments.hosts:
        watch = run(hosts, arguments.trials, arguments.seconds)
        one = one or watch.wall * arguments.hosts[0]
        ratio = one / watch.wall
        idle = 1 - arguments.trials * arguments.seconds / (hosts * watch.wall)
        print(
            f"{hosts:>5} {watch.wall:>9.1f} {ratio:>6.2f} {100 * ratio / hosts:>4.0f} %"
            f" {mean(watch.proposals):>13.3f} {100 * idle:>4.0f} %",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""One load sent by 1, 2 and 4 processes: whether they agree, and how much they can send.

    python benchmarks/senders.py [--seconds 4] [--rounds 3] [--concurrency 16] [--hosts 2]

First the same load for each number of senders, against a server that logs when each request had
arrived and when it was answered (as in `truth.py`): a closed loop, and a Poisson open loop at half
of what the connections carry. `bias` is what the senders say less what the log says. `agree` counts
the rounds in which the 95 % interval of ART overlaps that of one sender in the same round.

Then the capacity against a server that only answers, with a process for each CPU. The highest rate
that a study sends honestly is half of it. Ratios are to one sender in the same round; each line has
medians over the rounds. Server and senders share the CPUs of this machine, so senders that find no
CPU of their own add nothing: `CPU us` says what a request costs them.

With `--hosts N` the processes are on N workers of a Dask cluster, each with a monotonic clock of
its own (a Linux time namespace, which takes root), days ahead. They are processes of this machine,
so it shows what is right and what it costs, not what more machines would add. The bias of an open
loop then has what is not known of the clocks, too: its requests are late from when they are due.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from load_engine import await_port
from truth import IDS, MS, SERVICE_NS, UTILISATION, Target, joined, server

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.backends.dask_processes import dask_scheduler, of_another_clock  # noqa: E402 -- after the path
from tuner.backends.dask_senders import SenderHosts  # noqa: E402
from tuner.deploy import null_server  # noqa: E402
from tuner.load.calibrate import calibrate  # noqa: E402
from tuner.load.sender import LoadGenerator  # noqa: E402
from tuner.measure.calibration import Calibration  # noqa: E402
from tuner.measure.measurement import Estimate  # noqa: E402
from tuner.measure.measuring import measure_burst  # noqa: E402
from tuner.measure.samples import RequestOutcome  # noqa: E402
from tuner.serving.servers.call import Call  # noqa: E402
from tuner.spec.study import LoadProfile, LoadSpec  # noqa: E402

SENDERS = (1, 2, 4)
BODY = b'{"instances":[' + b"0.125," * 480 + b"1]}"


@dataclass(frozen=True)
class Run:
    """One burst: what its senders say, and what the server knows (ms)."""

    requests: int
    art: Estimate
    true_mean: float
    late_percent: float
    busiest_percent: float

    def agrees(self, other: Run) -> bool:
        mine, its = self.art, other.art
        assert mine.low is not None
        assert mine.high is not None
        assert its.low is not None
        assert its.high is not None
        return mine.low <= its.high and its.low <= mine.high


def sent(
    generator: LoadGenerator,
    service: str,
    senders: int,
    concurrency: int,
    seconds: int,
    rate: float | None,
) -> Run:
    spec = LoadSpec(
        min_seconds=seconds,
        max_seconds=seconds,
        precision=0.0,  # that no window reaches: it ends at its limit
        warmup_max_seconds=1.0,
        arrivals="closed" if rate is None else "poisson",
    )
    profile = LoadProfile(concurrency, spec, seed=1, rate_rps=rate, senders=senders)
    calls = [Call("/", b'{"id":%d}' % number) for number in range(IDS)]
    with tempfile.TemporaryDirectory() as name:
        log = Path(name, "log.npy")
        with (
            server(service, log) as target,
            generator.connect(target, profile, calls) as client,
        ):
            burst = client.run()
        samples = burst.samples.select(burst.samples.outcome != RequestOutcome.NOT_SENT)
        if (samples.outcome != RequestOutcome.OK).any():
            sys.exit("requests failed")
        hosts = burst.client.get("hosts", ())
        apart_ns = 1e6 * max((host["clock_known_to_ms"] for host in hosts), default=0.0)
        arrival, answer = joined(samples, np.load(log), apart_ns)  # ends where not all are in both
    end = samples.start_ns + samples.duration_ns
    window = (end >= burst.window_start_ns) & (end < burst.window_end_ns)
    since = arrival if rate is None else samples.start_ns
    metrics = measure_burst(burst, 1, spec.batch_seconds).metrics
    late = metrics.get("late_percent")
    return Run(
        requests=len(samples),
        art=metrics["art_ms"],
        true_mean=float(((answer - since) / MS)[window].mean()),
        late_percent=late.value if late else 0.0,
        busiest_percent=metrics["client_cpu_percent"].value,
    )


def show_agreement(service: str, loop: str, runs: dict[int, list[Run]]) -> None:
    for senders, mine in runs.items():
        middle = sorted(mine, key=lambda run: run.art.value)[len(mine) // 2]
        bias = statistics.median(1e3 * (run.art.value - run.true_mean) for run in mine)
        agree = sum(run.agrees(one) for run, one in zip(mine, runs[1], strict=True))
        interval = f"{middle.art.value:.2f} ({middle.art.low:.2f}-{middle.art.high:.2f})"
        print(
            f"{service:10}{loop:8}{senders:7}{sum(run.requests for run in mine):9}"
            f"  {interval:21}{bias:+8.0f}{f'{agree} of {len(mine)}':>9}"
            f"{statistics.median(run.late_percent for run in mine):7.1f}"
            f"{statistics.median(run.busiest_percent for run in mine):7.0f}",
            flush=True,
        )


@contextmanager
def answering(processes: int) -> Iterator[Target]:
    """A server that only answers, without a CPU of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    text = Path(null_server.__file__).read_text()
    command = [sys.executable, "-c", text, str(port), str(processes)]
    # Its processes have no container that ends them, but a session.
    started = subprocess.Popen(command, start_new_session=True)
    try:
        await_port(port)
        yield Target((("127.0.0.1", port),), ())
    finally:
        os.killpg(started.pid, 9)
        started.wait()


def show_capacity(found: dict[int, list[Calibration]]) -> None:
    for senders, mine in found.items():
        ratios = [
            m.capacity_rps.value / one.capacity_rps.value
            for m, one in zip(mine, found[1], strict=True)
        ]
        honest = statistics.median(m.honest_rps() for m in mine)
        cpu = statistics.median(m.client_cpu_us for m in mine)
        print(f"{senders:7}{honest:12.0f}{statistics.median(ratios):10.2f}{cpu:9.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=4, help="of each window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--hosts", type=int, default=0, help="workers of a Dask cluster that send")
    arguments = parser.parse_args()
    with sending(arguments.hosts) as generator:
        compare(generator, arguments)


@contextmanager
def sending(hosts: int) -> Iterator[LoadGenerator]:
    """What sends from so many hosts; from this process where there are none."""
    if not hosts:
        yield LoadGenerator()
        return
    with tempfile.TemporaryDirectory() as directory, dask_scheduler(Path(directory)) as cluster:
        names = [f"host{number}" for number in range(1, hosts + 1)]
        for days, name in enumerate(names, 1):
            cluster.start(name, inside=of_another_clock(days), options=("--sends",))
        cluster.joined(*names)
        with SenderHosts(cluster.on) as place:
            print(place.in_words())
            yield LoadGenerator(place.engines)


def compare(generator: LoadGenerator, arguments: argparse.Namespace) -> None:
    cpus = len(os.sched_getaffinity(0))
    print(f"{cpus} CPUs; {arguments.rounds} rounds, windows of {arguments.seconds} s\n")
    print(
        f"{'service':10}{'loop':8}{'senders':>7}{'requests':>9}  {'ART (ms)':21}{'bias us':>8}"
        f"{'agree':>9}{'late %':>7}{'CPU %':>7}"
    )
    rate = UTILISATION * arguments.concurrency / (SERVICE_NS / 1e9)
    for service in ("5 ms", "lognormal"):
        for loop, level in (("closed", None), ("open", rate)):
            runs: dict[int, list[Run]] = {senders: [] for senders in SENDERS}
            for _ in range(arguments.rounds):
                for senders, mine in runs.items():
                    at = service, senders, arguments.concurrency, arguments.seconds
                    mine.append(sent(generator, *at, level))
            show_agreement(service, loop, runs)
    print(f"\n{'senders':>7}{'honest rps':>12}{'x of one':>10}{'CPU us':>9}")
    found: dict[int, list[Calibration]] = {senders: [] for senders in SENDERS}
    for _ in range(arguments.rounds):
        for senders, calibrations in found.items():
            with answering(cpus) as target:
                calls = [Call("/v1/models/m:predict", BODY)]
                calibrations.append(calibrate(generator, target, calls, senders=senders))
    show_capacity(found)


if __name__ == "__main__":
    main()

"""How far measurements of one configuration differ, and whether their intervals hold the truth.

    python benchmarks/repeatability.py [--repeats 10] [--hog]

Ten configurations of mnist on real containers, each measured several times, all of them in one
random order. An interval is right when it holds the mean of the configuration's other
measurements. Two are judged: the burst's own, and the one that a study states, which includes
what differs between bursts (here learned from the other nine configurations, as a study learns it
from what it measured again).

With --hog a process of this benchmark keeps one CPU of the host busy all the while: every
measurement must say so. Needs the Docker Engine, the serving image and the mnist model.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from tuner.backends.docker import docker_backend
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.repeatability import repeatability, widened
from tuner.spec.host import Host
from tuner.spec.settings import only_configuration, study_of_model
from tuner.spec.space import Configuration
from tuner.trial import TrialRequest, run_trial

CONFIGURATIONS = (
    "concurrency=1 cpu=2",
    "concurrency=1 cpu=0.5",
    "concurrency=4 cpu=1",
    "concurrency=4 cpu=0.25",
    "concurrency=4 cpu=1 replicas=2",
    "concurrency=8 cpu=0.5 replicas=4",
    "concurrency=16 cpu=1 replicas=2",
    "concurrency=16 cpu=0.5 replicas=2",
    "concurrency=4 cpu=1 replicas=2 loss=1",
    "concurrency=8 cpu=0.5 replicas=2 loss=2",
)
METRICS = ("art_ms", "cpu_percent")
FOREIGN = "went to others"
"""What the finding about other processes on the host says."""


@contextmanager
def hog() -> Iterator[None]:
    """One CPU kept busy; the process ends with the block, or with this one."""
    process = multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def spin() -> None:
    until = time.monotonic() + 3600
    while time.monotonic() < until:
        sum(range(10_000))


def measured(repeats: int, seed: int) -> dict[Configuration, list[Measurement]]:
    """All measurements by configuration, in one random order."""
    specs = [study_of_model("mnist", text.split(), Host.this()) for text in CONFIGURATIONS]
    order = [spec for spec in specs for _ in range(repeats)]
    random.Random(seed).shuffle(order)  # noqa: S311 -- no secret
    backend = docker_backend(specs[0])
    found: dict[Configuration, list[Measurement]] = {only_configuration(spec): [] for spec in specs}
    with backend:
        backend.calibrate()
        for number, spec in enumerate(order):
            asked = only_configuration(spec)
            result = run_trial(spec, TrialRequest(asked, f"{number:04d}"), backend.rig)
            if result.measurement is None:
                sys.exit(f"{asked} is infeasible here: {result.infeasible}")
            found[asked].append(result.measurement)
            print(f"\r{number + 1}/{len(order)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def held(some: Sequence[Estimate], intervals: Sequence[Estimate]) -> list[bool]:
    """Whether each interval holds the mean of the other values."""
    total = sum(e.value for e in some)
    right = []
    for one, interval in zip(some, intervals, strict=True):
        others = (total - one.value) / (len(some) - 1)
        low, high = interval.low, interval.high
        right.append(low is not None and high is not None and low <= others <= high)
    return right


def spread(some: Sequence[Estimate]) -> float:
    values = [e.value for e in some]
    return statistics.stdev(values) / statistics.mean(values)


def report(found: Mapping[Configuration, Sequence[Measurement]]) -> None:
    all_right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    print(
        f"{'configuration':52} {'ART ms':>8} {'spread':>7} {'own':>5} {'stated':>6}"
        f" {'CPU %':>7} {'spread':>7} {'own':>5} {'stated':>6}  verdicts"
    )
    for asked, some in found.items():
        cells = []
        for metric in METRICS:
            values = [m.metrics[metric] for m in some]
            others = [
                [m.metrics[metric] for m in group] for key, group in found.items() if key != asked
            ]
            between = repeatability(others)
            own = held(values, values)
            stated = held(values, [widened(e, between) for e in values])
            all_right[metric, "own"] += own
            all_right[metric, "stated"] += stated
            cells.append(
                f"{statistics.mean(e.value for e in values):8.2f} {spread(values):7.1%}"
                f" {statistics.mean(own):5.0%} {statistics.mean(stated):6.0%}"
            )
        verdicts = Counter(m.verdict for m in some)
        listed = " ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        print(f"{asked!s:52} {cells[0]} {cells[1]}  {listed}")
    print()
    for metric, kind in itertools.product(METRICS, ("own", "stated")):
        right = all_right[metric, kind]
        print(f"{metric}: {statistics.mean(right):.1%} of {len(right)} {kind} intervals hold")
    for metric in METRICS:
        between = repeatability([[m.metrics[metric] for m in group] for group in found.values()])
        if between is not None:
            print(f"{metric}: bursts of one configuration differ by {between.relative_sd:.1%}")


def report_neighbours(found: Mapping[Configuration, Sequence[Measurement]]) -> None:
    """Whether each measurement says that something else ran on the host."""
    print(f"{'configuration':52} {'foreign CPU %':>13} {'client wait %':>13} {'found in':>9}")
    noticed = 0
    for asked, some in found.items():
        said = sum(any(FOREIGN in f.what for f in m.findings) for m in some)
        noticed += said
        foreign = statistics.median(m.metrics["foreign_percent"].value for m in some)
        wait = statistics.median(m.metrics["client_wait_percent"].value for m in some)
        print(f"{asked!s:52} {foreign:13.1f} {wait:13.1f} {said:4}/{len(some)}")
    total = sum(len(some) for some in found.values())
    print(f"\nfound in {noticed} of {total} measurements ({noticed / total:.0%})")
    verdicts = Counter(m.verdict for some in found.values() for m in some)
    print(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--hog", action="store_true", help="keep one CPU busy, and find it")
    arguments = parser.parse_args()
    if arguments.repeats < 2:
        parser.error("--repeats: expected 2 or more")
    with hog() if arguments.hog else nullcontext():
        found = measured(arguments.repeats, arguments.seed)
    (report_neighbours if arguments.hog else report)(found)


if __name__ == "__main__":
    main()

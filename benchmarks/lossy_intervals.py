"""How wide the stated intervals of lossy bursts are, and whether they hold: alone and composed.

    python benchmarks/lossy_intervals.py [--repeats 40] [--seed 1]       # simulated, in seconds
    python benchmarks/lossy_intervals.py --real [--minutes 18] [--save bursts.json]
    python benchmarks/lossy_intervals.py --read bursts.json

Ten configurations of mnist that lose packets, and the baseline without loss, each measured several
times. Round r of all of them is read as one study. Of each lossy burst the stated interval is
judged twice: as the burst alone says, and composed with what all bursts of the study say of the
network. An interval holds where it agrees with the mean of the same configuration's bursts in all
other rounds, whose own error counts too (a long burst alone is no better: its error is as large).

With --real, real containers are measured: it needs the Docker Engine, the serving image and the
mnist model, and a quiet machine. It ends after --minutes; whole rounds count. What was measured so
far is saved after each round, and judged if the run is interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import random
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tuner.arrays import Floats, Mask
from tuner.backends.backend import DeployingBackend
from tuner.backends.docker import docker_backend
from tuner.backends.simulated import simulated_backend
from tuner.errors import TuneError
from tuner.measure.measurement import Z, student
from tuner.measure.record import StudyRecord, TrialRecord, stated_trials
from tuner.results.pooled import pooled
from tuner.spec.host import Host
from tuner.spec.settings import only_configuration, study_of_model
from tuner.spec.space import Configuration
from tuner.spec.study import NetworkSpec, Objective, StudySpec
from tuner.trial import TrialRequest, run_trial

BASELINE = "concurrency=4 cpu=1"
LOSSY = (
    "concurrency=1 cpu=1 loss=1",
    "concurrency=4 cpu=1 loss=1",
    "concurrency=4 cpu=0.5 replicas=2 loss=1",
    "concurrency=16 cpu=1 replicas=2 loss=1",
    "concurrency=16 cpu=0.5 loss=1",
    "concurrency=1 cpu=0.5 loss=5",
    "concurrency=4 cpu=1 loss=5",
    "concurrency=4 cpu=0.5 replicas=2 loss=5",
    "concurrency=16 cpu=1 replicas=2 loss=5",
    "concurrency=16 cpu=0.25 loss=5",
)
ROUND = (BASELINE, BASELINE, *LOSSY)
"""The baseline twice, as every study repeats it."""
OBJECTIVES = (Objective("art_ms", "minimize"), Objective("cpu_percent", "minimize"))
METRICS = tuple(o.metric for o in OBJECTIVES)
KINDS = ("alone", "composed")
FEWEST_ROUNDS = 4


def record(number: int, spec: StudySpec, backend: DeployingBackend) -> TrialRecord | None:
    """One burst; None where it says nothing."""
    configuration = only_configuration(spec)
    request = TrialRequest(configuration, f"{number:04d}", fresh=True)
    try:
        measurement = run_trial(spec, request, backend.rig).measurement
    except TuneError as error:
        print(f"\n{configuration}: {error.message}", file=sys.stderr)
        return None
    if measurement is None or measurement.verdict == "INVALID":
        print(f"\n{configuration}: no burst that can be trusted", file=sys.stderr)
        return None
    values = tuple(measurement.metrics[name].value for name in METRICS)
    return TrialRecord(number, configuration, "measured", values, {}, {}, "", measurement)


def measured(arguments: argparse.Namespace, specs: Sequence[StudySpec]) -> list[list[TrialRecord]]:
    """Rounds of bursts of all specifications, each round in an order of its own."""
    rounds: list[list[TrialRecord]] = []
    rng = random.Random(arguments.seed)  # noqa: S311 -- no secret
    backend = docker_backend(specs[0]) if arguments.real else simulated_backend(specs[0])
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt), backend:
        backend.calibrate()
        for number in range(arguments.repeats):
            began_round = time.monotonic()
            order = rng.sample(specs, len(specs))
            bursts = (record(i, spec, backend) for i, spec in enumerate(order))
            rounds.append([b for b in bursts if b is not None])
            if arguments.save is not None:
                document = [[b.to_json() for b in bursts] for bursts in rounds]
                arguments.save.write_text(json.dumps(document))
            now = time.monotonic()
            print(f"\rround {number + 1} after {now - began:.0f} s", end="", file=sys.stderr)
            if arguments.real and now - began + now - began_round > 60 * arguments.minutes:
                break
    print(file=sys.stderr)
    return rounds


def read(path: Path) -> list[list[TrialRecord]]:
    document = json.loads(path.read_text())
    return [[TrialRecord.from_json(burst) for burst in bursts] for bursts in document]


@dataclass(frozen=True, eq=False)
class Judged:
    """The stated values of a configuration by round, alone or composed, shape (rounds,)."""

    values: Floats
    factors: Floats
    """The ends of an interval are the value times and divided by this."""

    @property
    def width(self) -> float:
        """Median half width as a share of the value."""
        return float(np.median(self.factors - 1))

    @property
    def spread(self) -> float:
        """How far the values of the rounds differ, as a share."""
        return float(np.log(self.values).std(ddof=1))

    def holds(self, measured: Floats) -> Mask:
        """Whether each interval agrees with what the other rounds measured.

        `measured`, shape (rounds,), are numbers of equal spans of time, so that their mean is that
        of one long span.
        """
        k = len(measured)
        others = np.array([np.delete(measured, i) for i in range(k)])
        means, errors = others.mean(axis=1), others.std(axis=1, ddof=1) / (k - 1) ** 0.5
        both = np.hypot(np.log(self.factors), student(k - 2) * errors / means)
        return np.asarray(np.abs(np.log(self.values / means)) <= both)


def judged(
    spec: StudySpec, rounds: Sequence[Sequence[TrialRecord]]
) -> Mapping[tuple[str, Configuration, str], Judged]:
    """By metric and lossy configuration, `alone` and `composed`."""
    stated: dict[tuple[str, Configuration, str], list[tuple[float, float]]] = defaultdict(list)
    for bursts in rounds:
        alone = StudyRecord(
            *("", "mnist", spec.search_space, OBJECTIVES, (), {}, {}, tuple(bursts))
        )
        composed = replace(alone, trials=stated_trials(bursts, METRICS))
        for kind, study in (("alone", alone), ("composed", composed)):
            for each in pooled(study):
                if NetworkSpec.of(each.configuration).lossy:
                    for i, metric in enumerate(METRICS):
                        factor = math.exp(Z * float(each.sd[i]))
                        key = metric, each.configuration, kind
                        stated[key].append((each.values[i], factor))
    return {key: Judged(*np.array(values).T) for key, values in stated.items()}


def report(spec: StudySpec, rounds: Sequence[Sequence[TrialRecord]]) -> None:
    raw: dict[tuple[str, Configuration], list[float]] = defaultdict(list)
    for trial in (t for bursts in rounds for t in bursts):
        art_ms, cpu_percent = trial.values
        # Of equal spans of time, the requests count: the inverse of ART in a closed loop.
        raw["art_ms", trial.configuration].append(1 / art_ms)
        raw["cpu_percent", trial.configuration].append(cpu_percent)
    by_key = judged(spec, rounds)
    for metric in METRICS:
        print(f"\n{'':58}{metric:>11} {'width +-':>14} {'hold':>13} {'spread':>14}")
        print(f"{'configuration':69} {'alone  comp.  ' * 3}")
        held: dict[str, list[bool]] = defaultdict(list)
        ratios = []
        for configuration in sorted({c for m, c, _ in by_key if m == metric}, key=str):
            values = np.array(raw[metric, configuration])
            if len(values) < FEWEST_ROUNDS:
                continue
            mean = values.mean() if metric == "cpu_percent" else 1 / values.mean()
            both = [by_key[metric, configuration, kind] for kind in KINDS]
            if metric == "art_ms":
                holds = [Judged(1 / j.values, j.factors).holds(values) for j in both]
            else:
                holds = [j.holds(values) for j in both]
            for kind, those in zip(KINDS, holds, strict=True):
                held[kind] += those.tolist()
            ratios.append(both[1].width / both[0].width)
            cells = [j.width for j in both] + [h.mean() for h in holds] + [j.spread for j in both]
            print(f"{configuration!s:58}{mean:11.3g} " + "".join(f"{c:7.1%}" for c in cells))
        print(
            f"width composed / alone, median over configurations: {np.median(ratios):.2f};"
            + ";".join(f" {k}: {np.mean(h):.1%} of {len(h)} hold" for k, h in held.items())
        )
    report_networks(rounds)


def report_networks(rounds: Sequence[Sequence[TrialRecord]]) -> None:
    """What each round says of each network, and which bursts stand alone."""
    print("\nthe network's part, by round")
    reasons: dict[tuple[Configuration, str], int] = defaultdict(int)
    for number, bursts in enumerate(rounds):
        shown: set[tuple[float, int]] = set()
        for trial in stated_trials(bursts, METRICS):
            if trial.stated is None:
                continue
            if (part := trial.stated.network) is None:
                reasons[trial.configuration, trial.stated.alone] += 1
            elif (key := (trial.configuration["loss"], part.delayed)) not in shown:
                shown.add(key)
                print(
                    f"{number:3} loss {trial.configuration['loss']}:"
                    f" {100 * part.share:.2f} +- {196 * part.share_error:.2f} %"
                    f" x {part.delay_ms:.0f} +- {1.96 * part.delay_error_ms:.0f} ms"
                    f" ({part.delayed} delayed, {part.configurations} configurations)"
                )
    for (configuration, why), count in reasons.items():
        print(f"alone {count} x {configuration}: {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--real", action="store_true", help="on real containers")
    parser.add_argument("--repeats", type=int, default=8, help="rounds")
    parser.add_argument("--minutes", type=float, default=18, help="of --real, at most")
    parser.add_argument("--seed", type=int, default=1, help="of the orders")
    parser.add_argument("--seconds", type=float, default=5, help="the longest window")
    parser.add_argument("--save", type=Path, help="write the bursts to this file")
    parser.add_argument("--read", type=Path, help="judge the bursts of this file")
    arguments = parser.parse_args()
    settings = [f"max_seconds={arguments.seconds}", "warmup_max_seconds=2"]
    specs = [study_of_model("mnist", [*t.split(), *settings], Host.this()) for t in ROUND]
    rounds = read(arguments.read) if arguments.read else measured(arguments, specs)
    if len(rounds) < FEWEST_ROUNDS:
        sys.exit(f"{len(rounds)} rounds are too few to judge: {FEWEST_ROUNDS} are needed")
    report(specs[0], rounds)


if __name__ == "__main__":
    main()

"""How near the stop rule comes to the truth and how long it takes: replays of long recordings.

    python benchmarks/stop_rule.py [--seconds 120] [--keep DIR]   records, then replays
    python benchmarks/stop_rule.py --from DIR                     replays what was kept

Records bursts of real containers (no loss, 2 % loss, CPU-throttled; needs a Docker Engine, the
serving image and the model mnist), then measures again and again from random starting points of
each: with the shipped rule at several lengths of a batch, with bursts of fixed length, and with the
rule of three 1 s windows in a row within 10 % of their mean. The error is against the ART of the
whole recording.

A stated 95 % interval should hold the truth in 95 %. Shown is how often it holds the ART of the
whole recording, and that of the half minute around the start: a machine whose speed drifts over
minutes is not to be seen in a window of seconds. A window is part of what it is compared with, so
intervals are made narrower by the finite population correction (Cochran 1977, "Sampling
Techniques", 2.6): their width times sqrt(1 - window / whole). "Study" is how often the interval
that a study states holds the ART of the whole recording: it includes what differs between bursts,
here learned from six others of the same recording.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tuner.backends.docker import docker_backend
from tuner.load.parquet import Recording, read_samples, write_samples
from tuner.measure import stopping
from tuner.measure.measurement import Estimate
from tuner.measure.packet_loss import is_delayed
from tuner.measure.repeatability import repeatability, widened
from tuner.measure.samples import RequestOutcome
from tuner.measure.statistics import Batches, art
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.space import Configuration
from tuner.spec.study import LoadSpec, NetworkSpec
from tuner.trial import TrialRequest, run_trial

_ONE = {"cpu": 1.0, "memory": 256, "replicas": 1, "loss": 0.0}
_DIFFERENCES: dict[str, dict[str, float]] = {
    "no loss": {"concurrency": 4},
    "2 % loss": {"concurrency": 4, "loss": 2.0},
    "2 % loss, one client": {"concurrency": 1, "loss": 2.0},
    "throttled": {"concurrency": 8, "cpu": 0.25},
    "two replicas": {"concurrency": 16, "cpu": 0.5, "replicas": 2},
}
RECORDED = {name: Configuration.of({**_ONE, **some}) for name, some in _DIFFERENCES.items()}

BATCH_SECONDS = (0.2, 0.3, 0.4, 0.5)
FIXED_SECONDS = (1.0, 5.0, 20.0)
LONGEST_SECONDS = 20.0
"""No rule looks further ahead, so that all can begin at the same points."""
NEAR_SECONDS = 30.0
REPEATS = 6
"""From so many other windows it is learned how far bursts differ."""


class Series:
    """A recording, ready to be cut anywhere: its completions in order, and their running sums."""

    def __init__(self, recording: Recording, *, lossy: bool) -> None:
        samples = recording.samples
        end = samples.start_ns + samples.duration_ns
        good = samples.outcome == RequestOutcome.OK
        order = np.argsort(end[good], kind="stable")
        duration = samples.duration_ns[good][order]
        self._end_ns = end[good][order]
        self._total_ms = np.concatenate([[0.0], np.cumsum(duration / 1e6)])
        # Those of a lossy recording that a lost packet delayed, as the load generator counts them.
        self._delayed = np.concatenate([[0], np.cumsum(is_delayed(duration))])
        self._failed_ns = np.sort(end[~good])
        self.lossy = lossy
        self.start_ns, self.end_ns = recording.window_start_ns, recording.window_end_ns
        self.seconds = (self.end_ns - self.start_ns) / 1e9
        whole = art(self.batches(self.start_ns, 0.5, int(self.seconds / 0.5)))
        assert whole is not None
        self.art = whole

    def near_ms(self, start_ns: int) -> float:
        """ART of the `NEAR_SECONDS` around that time, or of the nearest that were recorded."""
        near_ns = round(NEAR_SECONDS * 1e9)
        since = min(max(start_ns - near_ns // 2, self.start_ns), self.end_ns - near_ns)
        around = self.batches(since, NEAR_SECONDS, 1)
        return float(around.total_ms[0] / around.count[0])

    def batches(self, start_ns: int, span_seconds: float, k: int) -> Batches:
        """`k` batches from `start_ns`."""
        at = np.searchsorted(self._end_ns, self._edges(start_ns, span_seconds, k))
        return Batches(np.diff(at).astype(np.float64), np.diff(self._total_ms[at]))

    def failed_and_delayed(
        self, start_ns: int, span_seconds: float, k: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Since `start_ns`, up to the end of each of `k` batches."""
        edges = self._edges(start_ns, span_seconds, k)
        failed = np.searchsorted(self._failed_ns, edges)
        delayed = self._delayed[np.searchsorted(self._end_ns, edges)]
        return (failed - failed[0])[1:], (delayed - delayed[0])[1:]

    @staticmethod
    def _edges(start_ns: int, span_seconds: float, k: int) -> npt.NDArray[np.int64]:
        return start_ns + np.round(np.arange(k + 1) * span_seconds * 1e9).astype(np.int64)


@dataclass(frozen=True)
class Answer:
    """What a rule says from one starting point; `capped` when it was not content in time."""

    art: Estimate
    seconds: float
    capped: bool = False


Rule = Callable[[Series, int], Answer]
"""Measures a recording from a starting point (ns of its clock)."""


def shipped(batch_seconds: float) -> Rule:
    """The window of a trial with the default load, but for the length of its batches."""
    spec = replace(LoadSpec(), batch_seconds=batch_seconds)

    def rule(series: Series, start_ns: int) -> Answer:
        most = int(np.ceil(spec.max_seconds / batch_seconds - 1e-9))
        whole = series.batches(start_ns, batch_seconds, most)
        failed, delayed = series.failed_and_delayed(start_ns, batch_seconds, most)
        for k in range(1, most + 1):
            so_far = Batches(whole.count[:k], whole.total_ms[:k])
            slow = int(delayed[k - 1]) if series.lossy else None
            seconds = round(k * batch_seconds, 2)
            decision = stopping.window(so_far, int(failed[k - 1]), seconds, spec, slow)
            if decision.done:
                mean = art(so_far)
                assert mean is not None
                capped = decision.reason.startswith((stopping.CAPPED, stopping.NEAR))
                return Answer(mean, seconds, capped)
        raise AssertionError("the rule went on after its limit")

    return rule


def fixed(seconds: float) -> Rule:
    """A burst of that length, whatever it shows; its interval is of the default batches."""
    batch_seconds = LoadSpec().batch_seconds

    def rule(series: Series, start_ns: int) -> Answer:
        value = art(series.batches(start_ns, seconds, 1))
        interval = art(series.batches(start_ns, batch_seconds, int(seconds / batch_seconds)))
        if value is None or interval is None:
            # Nothing completed, all waited for lost packets: as wrong as can be.
            return Answer(Estimate(0.0, 0.0, 0.0), seconds)
        half = (interval.high or interval.value) - interval.value
        return Answer(Estimate(value.value, value.value - half, value.value + half), seconds)

    return rule


def three_windows(series: Series, start_ns: int) -> Answer:
    """As perf_analyzer measures: its defaults are 10 % and at most ten windows. No interval."""
    windows = series.batches(start_ns, 1.0, 10)
    means = windows.total_ms / np.maximum(windows.count, 1)
    for k in range(3, 11):
        last = slice(k - 3, k)
        mean = float(windows.total_ms[last].sum() / windows.count[last].sum())
        if (np.abs(means[last] - mean) <= 0.1 * mean).all():
            return Answer(Estimate(mean), k)
    return Answer(Estimate(mean), k, capped=True)


RULES: dict[str, Rule] = {
    **{f"tune, {seconds:g} s batches": shipped(seconds) for seconds in BATCH_SECONDS},
    **{f"fixed {seconds:g} s": fixed(seconds) for seconds in FIXED_SECONDS},
    "three windows": three_windows,
}


def holds(answer: Answer, truth_ms: float, of_seconds: float) -> bool:
    """Whether the interval holds the ART of `of_seconds`, in which the window lies."""
    assert answer.art.high is not None
    half = (answer.art.high - answer.art.value) * math.sqrt(1 - answer.seconds / of_seconds)
    return abs(answer.art.value - truth_ms) <= half


def study_holds(answers: list[Answer], truth_ms: float) -> float:
    """Share of intervals that hold the truth when they include what differs between bursts."""
    held = []
    for number, answer in enumerate(answers):
        others = [answers[(number + 1 + i) % len(answers)].art for i in range(REPEATS)]
        stated = widened(answer.art, repeatability([others]))
        assert stated.low is not None
        assert stated.high is not None
        held.append(stated.low <= truth_ms <= stated.high)
    return float(np.mean(held))


def show(name: str, series: Series, rule_name: str, starts: list[int]) -> None:
    answers = [RULES[rule_name](series, start) for start in starts]
    truth = series.art.value
    error = np.array([abs(a.art.value - truth) / truth for a in answers])
    seconds = np.array([a.seconds for a in answers])
    whole = near = study = "-"
    if all(a.art.high is not None for a in answers):
        whole = f"{np.mean([holds(a, truth, series.seconds) for a in answers]):.0%}"
        pairs = [(a, series.near_ms(start)) for a, start in zip(answers, starts, strict=True)]
        near = f"{np.mean([holds(a, near_ms, NEAR_SECONDS) for a, near_ms in pairs]):.0%}"
        study = f"{study_holds(answers, truth):.0%}"
    print(
        f"{name:22}{rule_name:20}{np.median(error):8.1%}{np.percentile(error, 95):8.1%}"
        f"{whole:>7}{near:>7}{study:>7}{np.median(seconds):7.1f}{np.percentile(seconds, 95):7.1f}"
        f"{np.mean([a.capped for a in answers]):8.0%}"
    )


def record(directory: Path, seconds: float) -> None:
    """One Parquet file per configuration of `RECORDED`."""
    study = load_study("mnist", Host.this())
    # A precision that no window reaches: it ends at its limit.
    load = replace(study.load, min_seconds=seconds, max_seconds=seconds, precision=0.0)
    study = replace(study, load=load)
    backend = docker_backend(study)
    with backend:
        for name, configuration in RECORDED.items():
            print(f"recording {name} for {seconds:g} s", file=sys.stderr)
            request = TrialRequest(configuration, "recording")
            result = run_trial(study, request, backend.rig)
            if result.burst is None:
                sys.exit(f"{name}: {result.infeasible}")
            write_samples(directory / f"{name}.parquet", result.burst)


def replay(directory: Path, points: int) -> None:
    default = LoadSpec()
    print(
        f"{points} starting points each; tune asks for ± {default.precision:.0%} of ART within"
        f" {default.max_seconds:g} s; its default batch is {default.batch_seconds:g} s\n"
    )
    print(
        f"{'':42}{'error of ART':>16}{'holds the ART':>21}{'seconds':>14}\n"
        f"{'recording':22}{'rule':20}{'median':>8}{'p95':>8}{'whole':>7}{'near':>7}{'study':>7}"
        f"{'median':>7}{'p95':>7}{'capped':>8}"
    )
    for name, configuration in RECORDED.items():
        lossy = NetworkSpec.of(configuration).lossy
        series = Series(read_samples(directory / f"{name}.parquet"), lossy=lossy)
        if series.seconds < NEAR_SECONDS:
            sys.exit(f"{name}: a recording must last {NEAR_SECONDS:g} s")
        last = series.end_ns - round(LONGEST_SECONDS * 1e9)
        starts = np.random.default_rng(0).integers(series.start_ns, last, points).tolist()
        width = (series.art.high or math.inf) / series.art.value - 1
        print(f"{name:22}{'whole recording':20}{series.art.value:8.3f} ms ± {width:.1%}")
        for rule_name in RULES:
            show(name, series, rule_name, starts)


@contextmanager
def _kept(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="of each recording")
    parser.add_argument("--keep", type=Path, help="directory for the recordings")
    parser.add_argument("--from", type=Path, dest="recorded", help="replay these recordings")
    parser.add_argument("--points", type=int, default=200, help="starting points of each")
    arguments = parser.parse_args()
    if arguments.recorded is not None:
        replay(arguments.recorded, arguments.points)
        return
    with _kept(arguments.keep) as directory:
        record(directory, arguments.seconds)
        replay(directory, arguments.points)


if __name__ == "__main__":
    main()

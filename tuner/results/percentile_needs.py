"""In which scenarios the percentiles that a study asks for can be had, and what that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.measure.record import TrialRecord
from tuner.measure.score import requests_needed
from tuner.results.wording import counted, figure
from tuner.spec.metrics import PERCENTILES
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec


@dataclass(frozen=True)
class SlowScenario:
    """A scenario in which no trial had the requests that are needed; the highest rate in it."""

    scenario: Configuration
    requests_per_second: float


@dataclass(frozen=True)
class PercentileNeeds:
    """The successful requests that `metrics` need in one burst of at most `max_seconds`.

    `slow` are the scenarios that are too slow for that, by the trials so far, or as their own rate
    says.
    """

    metrics: tuple[str, ...]
    requests: int
    max_seconds: float
    slow: tuple[SlowScenario, ...] = ()

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.max_seconds

    def __str__(self) -> str:
        """In words, with the mend."""
        needs = (
            f"{', '.join(self.metrics)}: {self.requests} requests, which is"
            f" {math.ceil(self.requests_per_second)} requests/s within load.max_seconds"
            f" ({self.max_seconds:g} s)"
        )
        if not self.slow:
            return needs
        slowest = min(each.requests_per_second for each in self.slow)
        places = ", ".join(
            f"{each.scenario} ({figure(each.requests_per_second)}/s)" for each in self.slow[:3]
        )
        more = len(self.slow) - 3
        places += f" and {counted(more, 'more scenario')}" if more > 0 else ""
        mend = f"load.max_seconds: {math.ceil(self.requests / slowest)} would do" if slowest else ""
        return f"{needs}. Known roughly only at {places}. {mend}".rstrip()


def percentile_needs(study: StudySpec, done: Sequence[TrialRecord]) -> PercentileNeeds | None:
    """By the finished trials, and by the rate of an open loop; None without such a metric."""
    metrics = tuple(name for name in study.metrics if name in PERCENTILES)
    if not metrics:
        return None
    needs = PercentileNeeds(metrics, requests_needed(metrics), study.load.max_seconds)
    names = [p.name for p in study.search_space.with_role("scenario")]
    fastest: dict[Configuration, float] = {}
    for trial in done:
        rate = trial.metric("throughput_rps")
        if rate is not None:
            scenario = trial.configuration.only(names)
            fastest[scenario] = max(rate.value, fastest.get(scenario, 0.0))
    rates = next((p.values() for p in study.search_space if p.name == "rate"), None)
    for value in rates or ():
        if float(value) < needs.requests_per_second:
            fastest[Configuration.of({"rate": value})] = float(value)
    slow = tuple(
        SlowScenario(scenario, rate)
        for scenario, rate in sorted(fastest.items(), key=lambda item: item[1])
        if rate < needs.requests_per_second
    )
    return PercentileNeeds(metrics, needs.requests, needs.max_seconds, slow)

"""A recorded grid: what every burst of a study said, to be served again and compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

from tuner.measure.measurement import Count, Estimate, LossParts, Seconds, Verdict
from tuner.spec.fingerprint import space_of
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import Constraint, Objective


@dataclass(frozen=True)
class RecordedTrial:
    """One burst, or a configuration that was found unable to serve.

    `pass_number` says in which round through the grid, from 0, it was measured. `metrics` and
    `verdict` are those of its measurement; an infeasible one has no metrics and says in `reason`
    why. `cut_short` is why its burst was ended early, empty where it was not. `same_as` is the
    trial of the same deployment whose end this one shares without having been tried. `started` is
    an ISO 8601 time in UTC.

    `deploy_seconds` and `tear_down_seconds` are what the deployment took in this trial (where it
    may stay for the next, that one's deploying takes it down), `burst_seconds` all the rest but for
    the `discarded_seconds` of a first attempt that could not be trusted. `loss` has the parts of a
    burst with packet loss, None where they were not recorded.
    """

    number: Count
    pass_number: Count
    configuration: Configuration
    outcome: Literal["measured", "infeasible"]
    started: str
    reason: str = ""
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    verdict: Verdict = "VALID"
    requests: Count = 0
    warmup_requests: Count = 0
    window_seconds: Seconds = 0.0
    cut_short: str = ""
    attempts: int = 1
    stayed: bool = False
    same_as: int | None = None
    deploy_seconds: Seconds = 0.0
    burst_seconds: Seconds = 0.0
    tear_down_seconds: Seconds = 0.0
    discarded_seconds: Seconds = 0.0
    loss: LossParts | None = None

    @property
    def deployment_seconds(self) -> float:
        """What bringing up and tearing down took."""
        return self.deploy_seconds + self.tear_down_seconds

    @property
    def seconds(self) -> float:
        """Wall time of the whole trial."""
        return self.deployment_seconds + self.burst_seconds + self.discarded_seconds


@dataclass(frozen=True)
class ReplayTable:
    """The trials of one study, by number, and what is needed to read them.

    `specification` is the study as specified (`tuner.spec.fingerprint.to_dict`), `environment` the
    host, engine, image, model, and calibration, without the host's name or paths. `failed` counts
    the trials that broke or could not be trusted; they are not among `trials`.
    """

    study: str
    specification: Mapping[str, Any]
    environment: Mapping[str, Any]
    trials: tuple[RecordedTrial, ...]
    failed: int = 0

    @cached_property
    def search_space(self) -> SearchSpace:
        return space_of(self.specification)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return tuple(Objective(**o) for o in self.specification["objectives"])

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        return tuple(Constraint(**c) for c in self.specification["constraints"])

    @property
    def recorded(self) -> tuple[str, str] | None:
        """When the first and the last of its trials began."""
        times = [t.started for t in self.trials]
        return (min(times), max(times)) if times else None

    @cached_property
    def by_configuration(self) -> Mapping[Configuration, tuple[RecordedTrial, ...]]:
        """Each configuration's trials in the order of their passes, none that was cut short."""
        groups: dict[Configuration, list[RecordedTrial]] = {}
        for trial in sorted(self.trials, key=lambda t: (t.pass_number, t.number)):
            if not trial.cut_short:
                groups.setdefault(trial.configuration, []).append(trial)
        return {configuration: tuple(group) for configuration, group in groups.items()}

    def inside(self, space: SearchSpace) -> ReplayTable:
        """Only the trials of configurations that have the parameters and values of `space`."""
        values = {p.name: p.values() for p in space}

        def has(configuration: Configuration) -> bool:
            return configuration.keys() <= values.keys() and all(
                (allowed := values[name]) is None or value in allowed
                for name, value in configuration.items()
            )

        return replace(self, trials=tuple(t for t in self.trials if has(t.configuration)))

    @cached_property
    def passes(self) -> tuple[int, ...]:
        """The passes that went through every configuration of the table."""
        passes = [{t.pass_number for t in group} for group in self.by_configuration.values()]
        return tuple(sorted(set.intersection(*passes))) if passes else ()

    @cached_property
    def _deployments(self) -> Mapping[Configuration, float]:
        """Mean seconds around the bursts of each deployment that was made afresh."""
        seconds: dict[Configuration, list[float]] = {}
        for trial in self.trials:
            if not trial.stayed and trial.same_as is None:
                deployed = self.search_space.deployment_of(trial.configuration)
                seconds.setdefault(deployed, []).append(trial.deployment_seconds)
        return {deployment: fmean(durations) for deployment, durations in seconds.items()}

    def deployment_seconds(self, configuration: Configuration) -> float:
        """What it takes to deploy this configuration afresh and to tear it down again.

        Of the trials that did so; where none of its own did, the mean of all that did.
        """
        seconds = self._deployments
        deployed = self.search_space.deployment_of(configuration)
        if deployed in seconds:
            return seconds[deployed]
        return fmean(seconds.values()) if seconds else 0.0

    @cached_property
    def ordered_seconds(self) -> float:
        """What one pass takes in which every deployment is made once, all its scenarios measured.

        Bursts and deployments as recorded, each averaged over the passes.
        """
        groups = self.by_configuration
        bursts = sum(fmean(t.burst_seconds for t in group) for group in groups.values())
        deployments = dict.fromkeys(map(self.search_space.deployment_of, groups))
        return bursts + sum(map(self.deployment_seconds, deployments))

"""What a configuration reserves on its hosts, and what of that can never be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tuner.measure.record import StudyRecord
from tuner.spec.space import Configuration
from tuner.spec.study import LoadSpec


@dataclass(frozen=True, order=True)
class Reservation:
    """What all replicas of a deployment reserve together. The lesser of two reserves less:
    fewer replicas first, then fewer cores, then fewer MiB.
    """

    replicas: int
    cores: float
    mib: float


def reservation(study: StudyRecord, configuration: Configuration) -> Reservation:
    """What a configuration, or the decision in it, reserves; a parameter that it lacks counts with
    its default.
    """

    def of(name: str) -> float:
        default = next((p.default for p in study.search_space if p.name == name), 1)
        return float(configuration.get(name, default))

    replicas = int(of("replicas"))
    return Reservation(replicas, replicas * of("cpu"), replicas * of("memory"))


def idle_replicas(study: StudyRecord, configuration: Configuration) -> int:
    """How many replicas never have a request: in a closed loop each connection has one replica."""
    arrivals = study.specification.get("load", {}).get("arrivals", LoadSpec.arrivals)
    if arrivals != "closed" or not {"concurrency", "replicas"} <= configuration.keys():
        return 0
    return max(0, int(configuration["replicas"]) - int(configuration["concurrency"]))


def idle_everywhere(
    study: StudyRecord, decision: Configuration, scenarios: Iterable[Configuration]
) -> bool:
    """Whether a decision has replicas that never have a request in any of the scenarios."""
    return all(idle_replicas(study, Configuration.of({**decision, **s})) for s in scenarios)

"""What a configuration reserves on its hosts, and what of that can never be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tuner.errors import InfeasibleKind
from tuner.measure.record import StudyRecord
from tuner.spec.space import Configuration
from tuner.spec.study import LoadSpec

_OUT_OF_MEMORY: InfeasibleKind = "out of memory"


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


def deployable(study: StudyRecord) -> Callable[[Configuration], bool]:
    """Tells of a configuration whether anybody should deploy it, whatever it was measured to give.

    Not with idle replicas, and not with so little memory that a replica of the study ran out of it,
    with no less memory and under no more load: that it fitted at other times was luck.
    """
    ran_out = [
        t.configuration
        for t in study.trials
        if t.outcome == "infeasible" and t.reason == _OUT_OF_MEMORY
    ]

    def tells(configuration: Configuration) -> bool:
        if idle_replicas(study, configuration):
            return False
        return not any(_at_most(configuration, failed) for failed in ran_out)

    return tells


def deployable_everywhere(
    study: StudyRecord, decision: Configuration, scenarios: Iterable[Configuration]
) -> bool:
    """Whether a decision has enough memory for all of the scenarios, and its replicas have requests
    in one of them.
    """
    configurations = [Configuration.of({**decision, **s}) for s in scenarios]
    tells = deployable(study)
    busy = [c for c in configurations if not idle_replicas(study, c)]
    return bool(busy) and all(map(tells, busy))


def _at_most(configuration: Configuration, failed: Configuration) -> bool:
    """Whether a configuration has no more memory than one that failed, and no less load."""
    if "memory" not in configuration or "memory" not in failed:
        return False
    return float(configuration["memory"]) <= float(failed["memory"]) and all(
        float(configuration[name]) >= float(failed[name])
        for name in ("concurrency", "rate")
        if name in configuration and name in failed
    )

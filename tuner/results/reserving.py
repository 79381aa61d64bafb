"""What a configuration reserves on its hosts, and what of that can never be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tuner.errors import InfeasibleKind
from tuner.measure.kept import kept
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
    return _idle(configuration) if _closed(study) else 0


def _closed(study: StudyRecord) -> bool:
    arrivals = study.specification.get("load", {}).get("arrivals", LoadSpec.arrivals)
    return bool(arrivals == "closed")


def _idle(configuration: Configuration) -> int:
    replicas, connections = configuration.get("replicas"), configuration.get("concurrency")
    if replicas is None or connections is None:
        return 0
    return max(0, int(replicas) - int(connections))


def deployable(study: StudyRecord) -> Callable[[Configuration], bool]:
    """Tells of a configuration whether anybody should deploy it, whatever it was measured to give.

    Not with idle replicas, and not with so little memory that a replica of the study ran out of it,
    with no less memory and under no more load: that it fitted at other times was luck.
    """
    ran_out = kept(study, "ran out of memory", None, lambda: _ran_out(study))

    closed = _closed(study)

    def tells(configuration: Configuration) -> bool:
        if closed and _idle(configuration):
            return False
        asked = _Fit.of(configuration)
        return not any(asked.at_most(failed) for failed in ran_out)

    return tells


def _ran_out(study: StudyRecord) -> frozenset[_Fit]:
    return frozenset(
        _Fit.of(t.configuration)
        for t in study.trials
        if t.outcome == "infeasible" and t.reason == _OUT_OF_MEMORY
    )


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


@dataclass(frozen=True)
class _Fit:
    """What decides whether a replica's memory is enough: MiB, and the load; None where unknown."""

    memory: float | None
    loads: tuple[float | None, ...]

    @classmethod
    def of(cls, configuration: Configuration) -> _Fit:
        memory, *loads = (
            None if (value := configuration.get(name)) is None else float(value)
            for name in ("memory", "concurrency", "rate")
        )
        return cls(memory, tuple(loads))

    def at_most(self, failed: _Fit) -> bool:
        """Whether it has no more memory than one that failed, and no less load."""
        if self.memory is None or failed.memory is None:
            return False
        return self.memory <= failed.memory and all(
            own is None or other is None or own >= other
            for own, other in zip(self.loads, failed.loads, strict=True)
        )

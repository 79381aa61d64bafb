"""What a finished trial says to a model of the search space: one observation per burst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tuner.measure.kept import kept
from tuner.measure.record import TrialRecord
from tuner.spec.space import Configuration

SERVES = "serves"
"""The constraint that says whether a configuration could serve at all: above zero it could not."""


@dataclass(frozen=True)
class Observation:
    """One burst of a configuration.

    `values` are the objectives in their units and the study's order; None where the configuration
    could not serve at all. `violations` maps each constraint's text to how far it is broken (zero
    or less: it holds). `relative_sd` has the standard error of each objective as a share of its
    value (of one that may be 0, that on the scale of its link, `tuner.measure.link`), without what
    all configurations of a lossy network share; None where it is unknown, empty where all are.
    `cut_short` says that the burst was ended early, since its configuration was surely no
    candidate. `deploy_seconds` is what bringing up and tearing down took, 0 where the deployment
    stayed up from the trial before; `burst_seconds` is all the rest; None where they are unknown.
    `working_set_mib` is the most memory that a replica used, None where it is unknown. `started` is
    whether the deployment came up, `out_of_memory` whether memory is what it lacked.
    """

    number: int
    configuration: Configuration
    values: tuple[float, ...] | None
    violations: Mapping[str, float] = field(default_factory=dict)
    relative_sd: tuple[float | None, ...] = ()
    cut_short: bool = False
    deploy_seconds: float | None = None
    burst_seconds: float | None = None
    working_set_mib: float | None = None
    started: bool = True
    out_of_memory: bool = False

    @classmethod
    def of(cls, record: TrialRecord, metrics: Sequence[str]) -> Observation:
        """What a trial's record says of these objectives; imputed values are not among it."""
        asked = tuple(metrics)
        name = f"observation {' '.join(asked)}"  # several are asked for in turn
        return kept(record, name, None, partial(cls._of, record, asked))

    @classmethod
    def _of(cls, record: TrialRecord, metrics: Sequence[str]) -> Observation:
        return cls(
            record.number,
            record.configuration,
            None if record.imputed else record.values,
            record.violations,
            tuple(record.compared_error(metric) for metric in metrics),
            bool(record.cut_short),
            record.deploy_seconds,
            record.burst_seconds,
            record.working_set_mib,
            record.outcome != "infeasible" or record.came_up,
            record.outcome == "infeasible" and record.reason == "out of memory",
        )


def served(observation: Observation) -> bool:
    """Whether the configuration could serve."""
    return observation.values is not None and observation.violations.get(SERVES, -1.0) <= 0

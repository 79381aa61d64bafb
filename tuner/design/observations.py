"""What finished trials say to a model of the search space: one observation per burst."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tuner.design.distributions import configuration_of
from tuner.spec.space import Configuration, SearchSpace

OBSERVED = "observed"
"""Attribute of a trial: what a sampler wants to know beside values and constraints (`Noise`)."""

WHY = "why"
"""Attribute of a trial: why a sampler proposed it, a JSON document."""

OWNER = "owner"
"""Attribute of a trial: the worker whose it is."""

SERVES = "serves"
"""The constraint that says whether a configuration could serve at all: above zero it could not."""


@dataclass(frozen=True)
class Noise:
    """How well a trial's values are known, and what it cost; stored under `OBSERVED`.

    `relative_sd` has the standard error of each objective as a share of its value, from the
    measurement's own interval; None where it has none. `cut_short` says that the burst was ended
    early, since its configuration was surely no candidate. `imputed` values are stand-ins.
    `deploy_seconds` is what bringing up and tearing down took, 0 where the deployment stayed up
    from the trial before; `burst_seconds` is all the rest.
    """

    relative_sd: tuple[float | None, ...] = ()
    cut_short: bool = False
    imputed: bool = False
    deploy_seconds: float | None = None
    burst_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Noise:
        return cls(**{**document, "relative_sd": tuple(document.get("relative_sd", ()))})


@dataclass(frozen=True)
class Observation:
    """One burst of a configuration.

    `values` are the objectives in their units and the study's order; None where the configuration
    could not serve at all. `violations` maps each constraint's text to how far it is broken (zero
    or less: it holds).
    """

    number: int
    configuration: Configuration
    values: tuple[float, ...] | None
    violations: Mapping[str, float] = field(default_factory=dict)
    noise: Noise = Noise()


def observations(space: SearchSpace, trials: Iterable[FrozenTrial]) -> list[Observation]:
    """Those of complete trials of an Optuna study, by number.

    A trial without the attribute `OBSERVED` has unknown noise; its values are measured ones unless
    the attribute `imputed` says otherwise.
    """
    found = []
    for trial in sorted(trials, key=lambda t: t.number):
        known = configuration_of(space, trial)
        if trial.state != TrialState.COMPLETE or known is None:
            continue
        noise = Noise.from_json(trial.user_attrs.get(OBSERVED, {}))
        imputed = noise.imputed or "imputed" in trial.user_attrs
        values = None if imputed else tuple(trial.values)
        found.append(Observation(trial.number, known, values, constraints_of(trial), noise))
    return found


def constraints_of(trial: FrozenTrial) -> Mapping[str, float]:
    """The violations that were told with `trial.set_constraint`, by name."""
    return dict(trial.constraints)


def pending(space: SearchSpace, trials: Sequence[FrozenTrial], but: int) -> list[Configuration]:
    """Configurations that other workers measure now or that wait for it, without trial `but`."""
    return [
        known
        for trial in trials
        if trial.state in (TrialState.RUNNING, TrialState.WAITING) and trial.number != but
        if (known := configuration_of(space, trial)) is not None
    ]

"""The model of a study: made in one way, by who proposes and by who explains.

Both look at the same candidates. Where the space can be looked at as a whole (`is_whole`) these
are all configurations. Of a larger or continuous space a sampler draws a new sample around the best
for each proposal (`large_space.sampled`); who explains looks at what was measured, every decision
in every scenario (`large_space.crossed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.measure.record import StudyRecord
from tuner.model.candidates import Candidates
from tuner.model.large_space import crossed, is_whole
from tuner.model.observations import Observation
from tuner.model.surrogate import Surrogate
from tuner.model.warm import Warm
from tuner.spec.metrics import Direction
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import Prices

FEWEST = 8
"""Measured configurations below which a model says nothing that is worth to be read."""


@dataclass(frozen=True)
class ProblemStatement:
    """What the model of a study depends on, beside its observations.

    `metrics` and `directions` are the objectives' in the study's order. `scenarios` are the
    parameters whose combinations of values are the scenarios. `host_cpus` is None where the host is
    not known, `warm` what another study knew (`--warm-start`).
    """

    space: SearchSpace
    metrics: tuple[str, ...]
    directions: tuple[Direction, ...]
    scenarios: tuple[str, ...] = ()
    host_cpus: float | None = None
    warm: Warm | None = None
    prices: Prices | None = None

    @classmethod
    def of(cls, study: StudyRecord) -> ProblemStatement:
        host = study.environment.get("host")
        cpus = host.get("cpus") if isinstance(host, Mapping) else None
        return cls(
            study.search_space,
            tuple(o.metric for o in study.objectives),
            tuple(o.direction for o in study.objectives),
            study.scenario_parameters,
            float(cpus) if isinstance(cpus, int | float) else None,
            Warm.from_json(study.warm_start) if study.warm_start else None,
            study.prices,
        )

    def candidates(self, configurations: Sequence[Configuration] | None = None) -> Candidates:
        """These configurations, or all of the space, by the scenarios that are asked for."""
        return Candidates.of(self.space, configurations, self.scenarios)

    def model(self, observations: Sequence[Observation], candidates: Candidates) -> Surrogate:
        """From one observation per burst, by number; a pure function."""
        return Surrogate.fit(
            candidates,
            self.metrics,
            self.directions,
            observations,
            host_cpus=self.host_cpus,
            warm=self.warm,
            prices=self.prices,
        )


def model_of(
    study: StudyRecord, configurations: Sequence[Configuration] | None = None
) -> Surrogate | None:
    """The model of a study's measurements; None where fewer than `FEWEST` could be measured.

    It speaks of `configurations`; where None is given, of the study's candidates.
    """
    problem = ProblemStatement.of(study)
    seen = [Observation.of(trial, problem.metrics) for trial in study.trials]
    if len({o.configuration for o in seen if o.values is not None}) < FEWEST:
        return None
    if configurations is None and not is_whole(problem.space, len(seen)):
        measured = [o.configuration for o in seen]
        configurations = crossed(problem.space, measured, problem.scenarios)
    return problem.model(seen, problem.candidates(configurations))

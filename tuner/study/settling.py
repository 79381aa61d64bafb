"""When a study's recommendations are settled, and which trials settle those that are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.feasibility import SURE
from tuner.model.initial_design import initial_trials
from tuner.model.memory_floor import MemoryNeed
from tuner.model.observations import Observation
from tuner.model.study_model import FEWEST
from tuner.results.outcomes import default_decision
from tuner.results.recommendation import Recommendation
from tuner.results.summary import summarise
from tuner.search.distributions import configuration_of
from tuner.search.study_sampler import FAILURES_ALLOWED, WHY
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import StudySpec
from tuner.study.storage import CONFIRMS, study_record

FEWEST_BURSTS = 2
"""What is recommended rests on so many bursts, each on a deployment of its own."""


_SHARE = 0.75
"""The share of the trials that settle recommendations; the others are the sampler's. With fewer of
them it takes longer to settle, with more a study may look at the same rivals for ever."""


_NOTHING_YET = "nothing can be recommended in this scenario yet"


@dataclass(frozen=True)
class Deciding:
    """A trial that says most about what is recommended for `scenario`, and its attributes."""

    scenario: Configuration
    configuration: Configuration
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Look:
    """What a study recommends when it is looked at, and what its trials say to this question."""

    study: StudyRecord
    recommended: Mapping[Configuration, Recommendation]

    @cached_property
    def trials_of(self) -> Counter[Configuration]:
        return Counter(t.configuration for t in self.study.trials)

    @cached_property
    def first_of(self) -> Mapping[Configuration, int]:
        """The number of the first trial of each configuration."""
        return {t.configuration: t.number for t in reversed(self.study.trials)}

    @cached_property
    def memory(self) -> MemoryNeed:
        seen = [Observation.of(trial, ()) for trial in self.study.trials]
        return MemoryNeed(self.study.search_space, seen)


def settles(spec: StudySpec) -> bool:
    """Whether the study is searched for what to recommend in each scenario, until that is known."""
    search = spec.search
    return search.settled > 0 and search.sampler == "bayes" and search.target == "per-scenario"


def decides(trial: FrozenTrial | Trial) -> bool:
    """Whether a trial was queued to settle what is recommended."""
    return "decides" in trial.user_attrs.get(WHY, {})


def deciding_is_due(study: Study) -> bool:
    """Whether such trials are no more than their share of all that were chosen by a model."""
    chosen = [t for t in study.get_trials(deepcopy=False) if WHY in t.user_attrs]
    return sum(map(decides, chosen)) <= _SHARE * len(chosen)


class Decider:
    """Looks at what a study recommends, once for each number of complete trials.

    `done` are their records, by number.
    """

    def __init__(self, spec: StudySpec, study: Study) -> None:
        self._spec = spec
        self._study = study
        self._look: _Look | None = None
        space = spec.search_space
        names = spec.search.scenarios or [p.name for p in space.with_role("scenario")]
        # None where they cannot be counted.
        self._scenarios = SearchSpace(tuple(p for p in space if p.name in names)).size()
        self._bursts = FEWEST_BURSTS if spec.search.confirm > 0 else 1

    def reached(self, done: Sequence[TrialRecord]) -> str:
        """Why a study is settled; empty where it is not.

        Each scenario that has a measured trial has a settled recommendation, and each scenario of
        the space has a trial, where they can be counted.
        """
        fewest = max(FEWEST, initial_trials(self._spec.budget.trials), self._scenarios or 0)
        if len(done) < fewest:
            return ""
        look = self._looked(done)
        study, recommended = look.study, look.recommended
        measured = {study.scenario_of(t.configuration) for t in study.trials}
        if not recommended or measured != recommended.keys():
            return ""
        if any(not self._settled(chosen) for chosen in recommended.values()):
            return ""
        who = "every scenario's recommendation" if len(recommended) > 1 else "the recommendation"
        return f"{who} is settled (P >= {self._spec.search.settled:g}) after {len(done)} trials"

    def deciding(
        self, done: Sequence[TrialRecord], last: Configuration | None
    ) -> Sequence[Deciding]:
        """The trials to measure next, all on one deployment; none while there is no model.

        Of the scenario that is not settled, and got the fewest such trials so far, it is what is
        recommended or its strongest rival: the one with fewer bursts. Where no rival is likely, it
        is what reserves less and may do as well. Where the deployment of the
        `last` trial serves one of these, that comes first. Then the same of all other scenarios
        that want the same deployment.
        """
        if len(done) < FEWEST:
            return ()
        look = self._looked(done)
        study, recommended = look.study, look.recommended
        given = Counter(
            study.scenario_of(t.configuration) for t in study.trials if "decides" in t.why
        )
        wanted = [
            self._wanted(look, chosen)
            for chosen in sorted(recommended.values(), key=lambda r: (r.chance, str(r.scenario)))
            if not self._settled(chosen)
        ]
        wanted = [*self._without_any(study, recommended), *wanted]
        elsewhere = self._not_now()
        wanted = [d for d in wanted if d.configuration not in elsewhere]
        deployment_of = self._spec.search_space.deployment_of
        up = None if last is None else deployment_of(last)
        wanted.sort(key=lambda d: (given[d.scenario], deployment_of(d.configuration) != up))
        first = wanted[:1]
        return [
            d
            for d in wanted
            if deployment_of(d.configuration) == deployment_of(first[0].configuration)
        ]

    def _without_any(
        self, study: StudyRecord, recommended: Mapping[Configuration, Recommendation]
    ) -> list[Deciding]:
        """The defaults in each measured scenario that has no recommendation, if they are untried:
        where all that was measured has idle replicas, they have none.
        """
        tried = {t.configuration for t in study.trials}
        scenarios = dict.fromkeys(study.scenario_of(c) for c in tried)
        return [
            Deciding(scenario, default, {WHY: {"reason": _NOTHING_YET, "decides": True}})
            for scenario in scenarios
            if scenario not in recommended
            and (default := default_decision(study, scenario)) not in tried
        ]

    def _not_now(self) -> set[Configuration | None]:
        """What other workers measure now, and what broke twice."""
        space, trials = self._spec.search_space, self._study.get_trials(deepcopy=False)
        failed = Counter(configuration_of(space, t) for t in trials if t.state == TrialState.FAIL)
        running = (configuration_of(space, t) for t in trials if t.state == TrialState.RUNNING)
        return {*running, *(c for c, count in failed.items() if count >= FAILURES_ALLOWED)}

    def _looked(self, done: Sequence[TrialRecord]) -> _Look:
        if self._look is None or len(self._look.study.trials) != len(done):
            record = study_record(self._study, done)
            self._look = _Look(record, summarise(record).recommendations)
        return self._look

    def _settled(self, chosen: Recommendation) -> bool:
        enough = len(chosen.pooled.bursts) >= self._bursts
        return enough and chosen.chance >= self._spec.search.settled and chosen.leaner is None

    def _lean(self, look: _Look, configuration: Configuration) -> Configuration:
        """The like with the least memory that surely suffices. More makes it hardly better, and the
        rivals of several scenarios share a deployment then.
        """
        space = self._spec.search_space
        parameter = next((p for p in space if p.name == "memory"), None)
        values = None if parameter is None else parameter.values()
        if not values or "memory" not in configuration:
            return configuration
        least = Configuration.of({**configuration, "memory": min(values, key=float)})
        return look.memory.least(least, SURE) or configuration

    def _wanted(self, look: _Look, chosen: Recommendation) -> Deciding:
        """What says most about one recommendation."""
        bursts = look.trials_of
        own, rival = chosen.configuration, None if chosen.rival is None else chosen.rival[0]
        picked, role = own, "what is recommended"
        if chosen.chance >= self._spec.search.settled:
            if chosen.leaner is not None:
                picked, role = chosen.leaner, "what reserves less and may do as well"
        elif rival is not None and bursts[rival] <= bursts[own]:
            lean = self._lean(look, rival)
            picked, role = rival if bursts[lean] else lean, "the strongest rival of that"
        why = {
            "reason": f"to settle what is recommended for {chosen.scenario}: {role}",
            "decides": True,
        }
        confirms = look.first_of.get(picked)
        attributes: dict[str, Any] = {WHY: why}
        if confirms is not None:
            attributes[CONFIRMS] = confirms
        return Deciding(chosen.scenario, picked, attributes)

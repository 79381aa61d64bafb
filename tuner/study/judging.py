"""Which bursts of a study may be cut short, and by what."""

from __future__ import annotations

from collections.abc import Sequence

from tuner.measure.hopeless import Hopeless, Rival
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.measure.repeatability import Repeatability
from tuner.measure.student import student
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec


def judge_of(
    spec: StudySpec, asked: Configuration, done: Sequence[TrialRecord], host_cpus: int
) -> Hopeless | None:
    """What may end the burst of `asked`; None for the baseline, and where the study wants none.

    Its rivals are the trials of the same scenario that may be on a front, each at the worse ends of
    its stated intervals. While too little was repeated to know how far bursts of one configuration
    differ, they are taken to differ by the precision that the study asks for.
    """
    if not spec.search.cut_short or asked == spec.search_space.baseline():
        return None
    study = _record(spec, done)
    unknown = spec.load.precision
    return Hopeless(
        spec.objectives,
        spec.constraints,
        tuple(_rivals(study, asked)),
        tuple(_margin(study.repeatability.get(o.metric), unknown) for o in spec.objectives),
        unknown,
        host_cpus,
    )


def _rivals(study: StudyRecord, asked: Configuration) -> list[Rival]:
    scenario = study.search_space.scenario_of(asked)
    found = []
    for trial in study.trials:
        if trial.eligible and study.search_space.scenario_of(trial.configuration) == scenario:
            ends = _worse_ends(study, trial)
            if ends is not None:
                found.append(Rival(trial.number, ends))
    return found


def _worse_ends(study: StudyRecord, trial: TrialRecord) -> tuple[float, ...] | None:
    """Of each objective the end of its stated interval that is worse; None without intervals."""
    ends = []
    for objective in study.objectives:
        stated = study.estimate(trial, objective.metric)
        if stated is None:
            return None
        end = stated.high if objective.direction == "minimize" else stated.low
        if end is None:
            return None
        ends.append(end)
    return tuple(ends)


def _margin(known: Repeatability | None, unknown: float) -> float:
    return unknown if known is None else student(known.degrees) * known.relative_sd


def _record(spec: StudySpec, done: Sequence[TrialRecord]) -> StudyRecord:
    return StudyRecord(
        name=spec.name,
        model=spec.model.name,
        search_space=spec.search_space,
        objectives=spec.objectives,
        constraints=spec.constraints,
        serving={},
        environment={},
        trials=tuple(done),
        precision=spec.load.precision,
    )

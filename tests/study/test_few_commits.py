"""A trial costs few commits, and is whole however its process ends."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import Trial, TrialState

from tests.study.commits import committed
from tests.study.small import FEASIBLE, opened, run, specification
from tuner.backends.simulated import simulated_backend
from tuner.deploy.ownership import Owner
from tuner.measure.record import ATTRIBUTE
from tuner.search.make_sampler import OWNER
from tuner.spec.load import results_directory
from tuner.spec.study import SearchSpec, StudySpec
from tuner.study import loop, tell
from tuner.study.loop import Event, Finished, Started, goal, run_study
from tuner.study.start import start_or_resume
from tuner.study.storage import records

MOST = 8
CONSTRAINED = ("error_rate <= 0.01", "error_rate <= 0.01, p95_ms <= 900, p50_ms <= 900")


def bayes(spec: StudySpec) -> StudySpec:
    return replace(spec, search=SearchSpec(sampler="bayes", cut_short=False))


def commits_of_trials(spec: StudySpec, more: int) -> list[int]:
    """Of each trial, from when it is asked for until the next one is."""
    counts: list[int] = []
    with committed() as transactions:

        def observe(event: Event) -> None:
            if isinstance(event, Finished):
                counts.append(len(transactions))

        run(spec, more=more, observe=observe)
    return [later - earlier for earlier, later in pairwise(counts)]


@pytest.mark.parametrize("changes", [(), (FEASIBLE,), (FEASIBLE, CONSTRAINED)])
def test_a_trial_takes_few_commits(changes: tuple[tuple[str, str], ...]) -> None:
    spec = bayes(specification(*changes))
    found = commits_of_trials(spec, 12)
    assert len(found) == 11
    assert max(found) <= MOST
    study = opened(spec)
    assert any(t.why.get("acquisition") for t in records(study)), "proposed, not only queued"
    assert all(t.violations for t in records(study))


def test_what_an_optuna_sampler_proposes_takes_few_commits_too() -> None:
    assert max(commits_of_trials(specification(FEASIBLE, ("tpe", "nsga2")), 11)) <= MOST


def test_no_trial_runs_without_its_owner_and_its_parameters() -> None:
    spec = bayes(specification(FEASIBLE))
    seen: list[tuple[str, int]] = []

    def observe(event: Event) -> None:
        if isinstance(event, Started):
            other = opened(spec).get_trials(states=(TrialState.RUNNING,))
            seen.extend((t.user_attrs[OWNER], len(t.params)) for t in other)

    run(spec, more=11, observe=observe)
    assert seen == [(str(Owner.this()), 5)] * 11


class KilledError(BaseException):
    """Stands for the end of the process: nothing after it is written."""


@pytest.mark.parametrize("last_words", ["record", "all but the tell"])
def test_a_trial_whose_record_is_stored_is_told_by_who_comes_next(
    last_words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = bayes(specification(FEASIBLE))
    run(spec, more=3)
    whole = tell.write_attributes

    def killed(study: Study, trial: Trial, *attributes: object) -> None:
        if last_words == "record":
            whole(study, trial, {ATTRIBUTE: attributes[0][ATTRIBUTE]})  # type: ignore[index]
        else:
            whole(study, trial, *attributes)  # type: ignore[arg-type]
        trial.set_user_attr(OWNER, str(replace(Owner.this(), started="long ago")))
        raise KilledError

    def silent(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(tell, "write_attributes", killed)
        patch.setattr(loop, "fail", silent)
        with pytest.raises(KilledError):
            run(spec, more=1)
    left = opened(spec).get_trials(states=(TrialState.RUNNING,))
    assert [t.number for t in left] == [3]
    study = run(spec, more=1)
    told = study.get_trials()
    assert [t.state for t in told] == [TrialState.COMPLETE] * 4, "told, and not measured again"
    assert told[3].user_attrs[ATTRIBUTE] == left[0].user_attrs[ATTRIBUTE]
    assert tuple(told[3].values) == records(study)[3].values
    assert told[3].constraints == records(study)[3].violations
    assert told[3].user_attrs["verdict"]


def test_a_storage_that_is_no_database_has_the_same_trials() -> None:
    spec = replace(specification(FEASIBLE, CONSTRAINED), search=SearchSpec(sampler="random"))

    def found(study: Study) -> list[object]:
        return [(t.params, t.constraints, t.user_attrs.keys()) for t in study.get_trials()]

    study = start_or_resume(spec, InMemoryStorage(), "simulated")
    until = goal(spec, study, 4, 0)
    run_study(spec, study, simulated_backend(spec), results_directory(spec), until)
    assert found(study) == found(run(spec, more=4))

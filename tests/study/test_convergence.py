from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest
from optuna.study import Study
from optuna.trial import FrozenTrial

from tests.study.small import FEASIBLE, opened, run, specification
from tuner.backends.simulated import simulated_backend
from tuner.search.make_sampler import Proposal, StudySampler
from tuner.spec.load import results_directory
from tuner.spec.study import SearchSpec
from tuner.study.loop import Converged, Event, goal, run_study
from tuner.study.next import Convergence
from tuner.study.storage import records


class Promising(StudySampler):
    """Expects gains that were written down beforehand, and counts how often it was asked."""

    def __init__(self, gains: Sequence[float | None]) -> None:
        super().__init__("bayes", specification().search_space, seed=1)
        self.gains = list(gains)
        self.looks = 0

    def expected_gain(self, study: Study) -> float | None:  # noqa: ARG002 -- it knows already
        self.looks += 1
        return self.gains.pop(0)

    def _propose(self, study: Study, trial: FrozenTrial) -> Proposal:
        raise NotImplementedError


def ends(gains: Sequence[float | None], threshold: float = 0.01) -> list[bool]:
    """After which look a study has converged."""
    study = optuna.create_study(directions=["minimize"] * 2)
    looking = Convergence(study, Promising(gains), threshold)
    return [bool(looking.reached(trials)) for trials in range(len(gains))]


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        ([0.005, 0.004, 0.003], [False, False, True]),
        ([0.005, 0.02, 0.005, 0.005], [False] * 4),
        ([0.5, 0.009, 0.001, 0.0], [False, False, False, True]),
        ([None, None, 0.001, 0.001, 0.001], [False] * 4 + [True]),
        ([0.01, 0.01, 0.01], [False] * 3),
    ],
)
def test_three_small_gains_in_a_row_are_convergence(
    gains: list[float | None], expected: list[bool]
) -> None:
    assert ends(gains) == expected


def test_it_is_said_in_words() -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    looking = Convergence(study, Promising([0.004] * 3), 0.01)
    assert looking.reached(45) == looking.reached(46) == ""
    assert looking.reached(47) == (
        "a further trial is expected to enlarge the hypervolume by 0.4 %, asked 1 %:"
        " converged after 47 trials"
    )


def test_a_number_of_trials_is_looked_at_once_also_by_another_run() -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    first = Promising([0.004, 0.004])
    looking = Convergence(study, first, 0.01)
    assert [looking.reached(n) for n in (45, 45, 46, 46)] == [""] * 4
    assert first.looks == 2
    resumed = Convergence(study, Promising([0.004]), 0.01)
    assert resumed.reached(46) == ""
    assert resumed.reached(47)
    assert resumed.reached(47)


def test_a_study_ends_before_its_budget_and_says_why() -> None:
    spec = specification(FEASIBLE, ("trials: 8", "trials: 12"))
    spec = replace(spec, search=SearchSpec(converged=0.9, confirm=0, cut_short=False))
    events: list[Event] = []
    study = run(spec, observe=events.append)
    assert len(records(study)) < 12
    (end,) = [e for e in events if isinstance(e, Converged)]
    assert "asked 90 %" in end.reason
    assert f"converged after {len(records(study))} trials" in end.reason
    again: list[Event] = []
    until = goal(spec, opened(spec), None, 0)
    backend = simulated_backend(spec)
    run_study(spec, opened(spec), backend, results_directory(spec), until, again.append)
    assert again == [end], "a resumed run has converged already"
    count = len(records(study))
    assert len(records(run(spec, more=1))) == count + 1, "unless more are asked for"


def test_a_study_that_asks_for_none_uses_its_budget() -> None:
    spec = specification(FEASIBLE)
    events: list[Event] = []
    assert len(records(run(spec, observe=events.append))) == 8
    assert not [e for e in events if isinstance(e, Converged)]

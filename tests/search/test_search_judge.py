from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.search_judge import (
    Answer,
    answers_from_values,
    curve,
    levels_curve,
    marks,
    measured_grid,
    reached,
    reported_front,
)
from benchmarks.search_problems import problem
from tests.search.small_problem import ROW, SMALL, answer


def test_the_true_fronts_predicted_as_they_are_have_full_marks() -> None:
    found = marks(SMALL, [answer(0.0, 1, 2), answer(1.0, 1, 2)])
    assert (found.hypervolume, found.precision) == (1.0, 1.0)
    assert (found.missed, found.broken) == (0.0, 0.0)
    assert found.art_error == pytest.approx(0.0)


def test_a_scenario_without_answer_has_no_volume() -> None:
    assert marks(SMALL, [answer(0.0, 1, 2)]).hypervolume == 0.5
    nothing = marks(SMALL, [])
    assert nothing.hypervolume == 0.0
    assert math.isnan(nothing.precision)
    assert math.isnan(nothing.missed)


def test_precision_forgives_two_percent() -> None:
    assert marks(SMALL, [answer(0.0, 3)]).precision == 1.0
    assert marks(SMALL, [answer(0.0, 3, 4)]).precision == 0.5


def test_a_promise_is_broken_by_more_than_ten_percent() -> None:
    assert marks(SMALL, [answer(0.0, 1, 2, factor=0.92)]).broken == 0.0
    assert marks(SMALL, [answer(0.0, 1, 2, factor=0.9)]).broken == 1.0
    assert marks(SMALL, [answer(0.0, 1, 2, factor=2.0)]).broken == 0.0
    assert marks(SMALL, [answer(0.0, 1, 2, factor=2.0)]).art_error == pytest.approx(math.log(2))


def test_a_level_is_missed_by_whom_a_wrong_prediction_made_the_cheapest() -> None:
    # One replica is thought to take 45 ms and is taken for every level, from 50 to 100 ms.
    wrong = Answer(0, np.array([ROW[1, 0.0], ROW[2, 0.0]]), np.array([[45.0, 10.0], [50.0, 20.0]]))
    levels = np.geomspace(50.0, 100.0, 10)
    assert marks(SMALL, [wrong]).missed == pytest.approx(np.mean(1.1 * levels < 100.0))
    # Thought slower than any level it is never taken, and nothing is promised.
    assert math.isnan(marks(SMALL, [answer(0.0, 1, factor=1.2)]).missed)


def test_what_cannot_serve_is_a_mistake_in_every_respect() -> None:
    found = marks(SMALL, [answer(1.0, 3)])
    assert (found.hypervolume, found.precision, found.broken, found.missed) == (0.0, 0.0, 1.0, 1.0)
    assert math.isnan(found.art_error)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1499), min_size=1, max_size=25))
def test_curves_are_the_shares_of_what_was_evaluated_so_far(rows: list[int]) -> None:
    at = problem("T1")
    found, levels = curve(at, rows), levels_curve(at, rows)
    assert (np.diff(found) >= -1e-12).all()
    assert found[-1] == pytest.approx(at.hypervolume(rows))
    losses = at.by("loss")
    least = min(at.hypervolume(rows, losses == level) for level in range(3))
    assert levels[-1] == pytest.approx(least)


def test_the_front_has_the_whole_volume_and_nothing_has_none() -> None:
    at = problem("T2")
    assert at.hypervolume(at.front()) == pytest.approx(1.0)
    assert at.hypervolume(np.arange(len(at.truth))) == pytest.approx(1.0)
    assert at.hypervolume([]) == 0.0
    assert at.hypervolume(np.flatnonzero(~at.feasible)) == 0.0


def test_when_a_share_was_reached() -> None:
    assert reached(np.array([0.2, 0.95, 0.96]), 0.95) == 2
    assert reached(np.array([0.2, 0.94]), 0.95) is None


def test_a_deployment_is_paid_for_when_it_changes() -> None:
    rows = [ROW[1, 0.0], ROW[1, 1.0], ROW[2, 1.0], ROW[1, 0.0]]
    assert SMALL.seconds(rows).tolist() == [7, 9, 16, 23]
    assert SMALL.seconds(rows, stay=False).tolist() == [7, 14, 21, 28]
    assert SMALL.grid_seconds == 4 * 5 + 8 * 2


def test_values_as_they_are_recommend_at_most_six_and_average_repeats() -> None:
    at = problem("T1")
    rows, values = measured_grid(at, 1, np.random.default_rng(3))
    found = answers_from_values(at, rows, values)
    assert len(found) == len(at.scenarios)
    assert max(len(a.rows) for a in found) == 6
    assert all((at.scenario[a.rows] == a.scenario).all() for a in found)
    twice = [[100.0, 10.0], [400.0, 10.0]]
    (only,) = answers_from_values(SMALL, [ROW[1, 0.0]] * 2, twice)
    np.testing.assert_allclose(only.predicted, [[200.0, 10.0]])


def test_a_grid_measured_once_is_not_the_truth() -> None:
    at = problem("T1")
    once = [measured_grid(at, passes, np.random.default_rng(1)) for passes in (1, 4)]
    scores = [marks(at, answers_from_values(at, *grid)) for grid in once]
    assert scores[0].art_error > 1.5 * scores[1].art_error > 0
    assert scores[0].hypervolume < 1
    share, true = reported_front(at, *once[0])
    assert 0.9 < share < 1
    assert 0.1 < true < 0.9

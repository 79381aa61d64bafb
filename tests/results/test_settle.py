from __future__ import annotations

import numpy as np

from tests.model.planted import model
from tuner.model.chances import Chances, chances
from tuner.model.surrogate import Surrogate
from tuner.results.predicted_front import rows_of
from tuner.results.settle import MOST_TRIALS, Settling, settling


def of(surrogate: Surrogate, own: float) -> Settling:
    return settling(surrogate, within(surrogate), np.full((4, 2), own))


def within(surrogate: Surrogate) -> list[Chances]:
    return [chances(surrogate, rows_of(surrogate, s)) for s in surrogate.candidates.scenarios]


def test_what_is_known_well_is_settled() -> None:
    found = of(model(96, 0.001), 0.001)
    assert found.trials is not None
    assert found.trials <= 8
    assert found.course[-1][1] == 0


def test_what_is_known_badly_needs_more_trials() -> None:
    vague = of(model(16, 0.05), 0.01)
    assert vague.course[0][0] == 0
    assert vague.course[0][1] > 0
    assert vague.trials is None or 0 < vague.trials <= MOST_TRIALS
    assert [n for n, _ in vague.course] == sorted({n for n, _ in vague.course})
    assert 0 < len(vague.first) <= 6


def test_noisier_bursts_need_no_fewer_trials() -> None:
    surrogate = model(24, 0.03)
    counts = [of(surrogate, own).trials or MOST_TRIALS + 1 for own in (0.01, 0.1, 0.5)]
    assert counts == sorted(counts)


def test_the_model_is_left_as_it_was_and_the_answer_is_the_same() -> None:
    surrogate = model(24, 0.03)
    before = surrogate.posterior().sd.copy()
    assert of(surrogate, 0.03) == of(surrogate, 0.03)
    assert np.array_equal(before, surrogate.posterior().sd)


def test_without_fronts_there_is_nothing_to_settle() -> None:
    assert settling(model(), [], np.zeros((0, 2))) == Settling(((0, 0),), ())

from __future__ import annotations

import numpy as np

from tests.model.served_space import CANDIDATES, SPACE, bursts, fits, number, some_rows
from tuner.arrays import Floats
from tuner.model.candidates import Candidates
from tuner.model.feasibility import probability_of_serving
from tuner.model.observations import Observation, served
from tuner.spec.space import Configuration, SearchSpace

ABLE = np.array([fits(x) for x in CANDIDATES.configurations])
MEMORY = np.array([number(x, "memory") for x in CANDIDATES.configurations])


def chance(count: int, serves: object = fits, candidates: Candidates = CANDIDATES) -> Floats:
    assert callable(serves)
    return probability_of_serving(candidates, bursts(some_rows(count), serves=serves))


def test_before_anything_is_seen_only_the_lowest_memory_is_doubted() -> None:
    found = chance(0)
    assert found[MEMORY == 256].min() > 0.8
    assert found[MEMORY == 64].min() < found[MEMORY == 128].min() < found[MEMORY == 256].min()
    assert found[MEMORY == 64].max() > 0.5


def test_success_everywhere_makes_it_sure() -> None:
    assert chance(60, lambda _: True).min() > 0.9


def test_it_learns_how_much_memory_requests_need() -> None:
    found = chance(40)
    assert ((found > 0.5) == ABLE).mean() > 0.95
    assert ABLE[found > 0.9].all()
    assert (found > 0.9).sum() > 0.7 * ABLE.sum()


def test_one_failure_at_the_lowest_memory_says_little_about_the_highest() -> None:
    row = int(np.argmin(MEMORY))
    after = probability_of_serving(CANDIDATES, bursts([row], serves=lambda _: False))
    assert after[row] < 0.3
    assert np.median(after[MEMORY == 256]) > 0.7


def slow(x: Configuration) -> bool:
    return number(x, "cpu") > 0.5


def test_it_learns_that_something_else_is_too_small() -> None:
    truth = np.array([slow(x) for x in CANDIDATES.configurations])
    found = chance(50, slow)
    assert ((found > 0.5) == truth).mean() > 0.97


def test_it_learns_two_causes_at_once() -> None:
    truth = np.array([slow(x) and fits(x) for x in CANDIDATES.configurations])
    found = chance(80, lambda x: slow(x) and fits(x))
    assert ((found > 0.5) == truth).mean() > 0.95
    assert truth[found > 0.9].mean() > 0.97


def test_without_a_parameter_for_memory() -> None:
    space = SearchSpace(tuple(p for p in SPACE if p.name != "memory"))
    candidates = Candidates.of(space)
    truth = np.array([slow(x) for x in candidates.configurations])
    seen = [
        Observation(i, candidates.configurations[i], (1.0, 1.0) if truth[i] else None)
        for i in np.random.default_rng(0).permutation(len(candidates))[:40].tolist()
    ]
    found = probability_of_serving(candidates, seen)
    assert ((found > 0.5) == truth).mean() > 0.95


def test_when_nothing_can_serve_what_was_tried_is_the_least_likely() -> None:
    rows = some_rows(30)
    found = probability_of_serving(CANDIDATES, bursts(rows, serves=lambda _: False))
    assert np.isfinite(found).all()
    assert ((found > 0) & (found < 1)).all()
    assert found[rows].max() < 0.5


def test_more_outcomes_of_one_place_count_more() -> None:
    once = probability_of_serving(CANDIDATES, bursts([0], serves=lambda _: False))
    often = probability_of_serving(CANDIDATES, bursts([0] * 5, serves=lambda _: False))
    assert often[0] < once[0]


def test_what_served_has_values_and_holds_the_constraint() -> None:
    x = CANDIDATES.configurations[0]
    assert served(Observation(0, x, (1.0,), {}))
    assert not served(Observation(0, x, None, {}))
    assert not served(Observation(0, x, (1.0,), {"serves": 1.0}))

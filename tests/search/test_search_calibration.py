from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search_calibration import MODEL_AT, Judged, Reliability, pooled, table
from benchmarks.search_judge import Marks
from benchmarks.search_problems import varied


def test_probabilities_are_compared_with_what_came_true() -> None:
    stated = np.array([0.0, 0.2, 0.2, 0.2, 0.2, 0.8, 0.8])
    true = np.array([False, True, False, False, False, True, True])
    reliability = Reliability(stated, true)
    low, high = reliability.classes()
    assert low == pytest.approx((0.2, 0.25, 4))
    assert high == pytest.approx((0.8, 1.0, 2))
    assert reliability.brier == pytest.approx((3 * 0.04 + 0.64 + 2 * 0.04) / 7)


def test_a_table_has_a_line_for_each_problem_and_one_for_all() -> None:
    marks = Marks(0.9, 0.8, 0.0, 0.0, 0.05)
    reliability = Reliability(np.array([0.5]), np.array([True]))
    judged = [
        (kind, Judged(name, trials, np.full((3, 2), share), -1.0, reliability, marks))
        for kind, share in (("one process", 0.5), ("ensemble", 0.9))
        for name in ("A", "B")
        for trials in MODEL_AT
    ]
    lines = table(judged).splitlines()
    assert len(lines) == 1 + 3 * 2 * len(MODEL_AT)
    assert "B, 60 trials, ensemble" in lines[8]
    assert "0.900" in lines[8]
    assert pooled([j for _, j in judged]).true.all()


def test_varied_problems_differ_and_repeat_themselves() -> None:
    settings = [varied(number) for number in (1, 100, 101, 102)]
    assert varied(100) == settings[1]
    assert len({s.model.service_ms for s in settings}) == 4
    assert {s.deviation for s in settings[1:]} == {0.1, 0.2, 0.3}

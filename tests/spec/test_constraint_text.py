from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import InputError
from tuner.spec.expressions import parse_constraint, parse_duration
from tuner.spec.metrics import METRICS

bounds = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
spaces = st.sampled_from(["", " ", "  "])


@given(
    metric=st.sampled_from(list(METRICS)),
    sign=st.sampled_from(["<=", ">="]),
    bound=bounds,
    gap=spaces,
    value=st.floats(-1e6, 1e6),
)
def test_constraint_says_what_is_written(
    metric: str, sign: str, bound: float, gap: str, value: float
) -> None:
    constraint = parse_constraint(f"{gap}{metric}{gap}{sign}{gap}{bound!r}")
    assert (constraint.metric, constraint.operator, constraint.bound) == (metric, sign, bound)
    holds = value <= bound if sign == "<=" else value >= bound
    assert (constraint.violation(value) <= 0) == holds


@given(metric=st.sampled_from(list(METRICS)), bound=st.integers(-99_999, 99_999))
def test_constraint_survives_its_own_text(metric: str, bound: int) -> None:
    constraint = parse_constraint(f"{metric} <= {bound}")
    assert parse_constraint(str(constraint)) == constraint


@given(text=st.text(max_size=40))
def test_any_other_text_is_refused_as_input(text: str) -> None:
    with pytest.raises(InputError):
        parse_constraint(text)


@pytest.mark.parametrize(
    "text",
    [
        "p95_ms < 80",
        "p95_ms == 80",
        "p95_ms <= ",
        "80 >= p95_ms",
        "p95_ms <= 80 ms",
        "p95_ms <= nan",
        "p95_ms <= inf",
        "p95_ms <= 1e999",
        "p95_ms <= " + "9" * 400,
        "p95_ms <= 80 <= 90",
        "p96_ms <= 80",
    ],
)
def test_bad_constraint(text: str) -> None:
    with pytest.raises(InputError):
        parse_constraint(text)


def test_metric_that_is_like_no_other_is_told_them_all() -> None:
    with pytest.raises(InputError, match=re.escape(", ".join(METRICS))):
        parse_constraint("joy <= 1")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90 s", 90),
        ("15 min", 900),
        ("15min", 900),
        ("1.5 h", 5400),
        ("1 h 30 min", 5400),
        ("2 d 1 s", 172_801),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "15", "min", "15 minutes", "-1 s", "0 s", "1 min 1 h", "1 s 1 s", "1 h,", "1e3 s"]
)
def test_bad_duration(text: str) -> None:
    with pytest.raises(InputError, match="duration"):
        parse_duration(text)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 99), seconds=st.integers(1, 99), gap=spaces)
def test_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int, gap: str) -> None:
    text = f"{hours}{gap}h {minutes}{gap}min {seconds}{gap}s"
    assert parse_duration(text) == hours * 3600 + minutes * 60 + seconds

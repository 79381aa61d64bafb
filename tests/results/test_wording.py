from __future__ import annotations

import pytest

from tuner.measure.measurement import Estimate
from tuner.results.wording import (
    bare,
    column,
    counted,
    difference,
    interval,
    interval_ends,
    together,
)
from tuner.spec.space import Parameter, Value


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("connections", 1, "1 connection"),
        ("connections", 2, "2 connections"),
        ("requests/s", 1, "1 request/s"),
        ("requests/s", 50, "50 requests/s"),
        ("MiB", 1, "1 MiB"),
        ("ms", 1, "1 ms"),
        ("", 4, "4"),
    ],
)
def test_a_value_agrees_with_its_unit(unit: str, value: Value, expected: str) -> None:
    parameter = Parameter("p", "int", "decision", value, choices=(value,), unit=unit)
    assert bare(parameter, value) == expected


@pytest.mark.parametrize(
    ("unit", "expected"), [("MiB", "memory (MiB)"), ("", "memory")], ids=["unit", "none"]
)
def test_a_column_has_the_parameters_unit(unit: str, expected: str) -> None:
    assert column(Parameter("memory", "int", "decision", 1, choices=(1,), unit=unit)) == expected


def test_a_value_stands_before_its_interval() -> None:
    known, alone = Estimate(2.313, 2.24, 2381.2), Estimate(1234.5)
    assert (interval(known), interval_ends(known)) == ("2.31 (2.24-2,381)", "2.24-2,381")
    assert (interval(alone), interval_ends(alone)) == ("1,234", "")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Estimate(-3.0, -5.0, -1.0), "-3 (-5 to -1)"),
        (Estimate(0.1, -0.2, 0.4), "0.1 (-0.2 to 0.4)"),
        (Estimate(2e-5, 1e-5, 0.5), "2e-05 (1e-05 to 0.5)"),
        (Estimate(999.7, 999.2, 1000.2), "1,000 (999-1,000)"),
    ],
)
def test_a_hyphen_between_ends_is_never_taken_for_a_sign(known: Estimate, expected: str) -> None:
    assert interval(known) == expected


def test_a_change_has_signs() -> None:
    assert difference(Estimate(-12.2, -20.0, 3.0)) == "-12 % (-20 to +3)"
    assert difference(Estimate(0.4)) == "+0 %"
    assert difference(Estimate(-6.0, -12.0, -0.4)) == "-6 % (-12 to +0)"


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 trials"), (1, "1 trial"), (12, "12 trials")]
)
def test_a_count_agrees_with_what_it_counts(count: int, expected: str) -> None:
    assert counted(count, "trial") == expected


@pytest.mark.parametrize(
    ("parts", "expected"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")]
)
def test_parts_are_named_together(parts: str, expected: str) -> None:
    assert together(list(parts)) == expected


def test_next_to_nothing_against_its_upper_end_is_zero() -> None:
    assert interval(Estimate(1.2e-06, 1e-07, 0.003)) == "0 (0-0.003)"
    assert interval(Estimate(1.2e-06, 1e-06, 1.5e-06)) == "1.2e-06 (1e-06 to 1.5e-06)"
    assert interval(Estimate(0.0004, 0.00005, 0.003)) == "0.0004 (0-0.003)"
    assert interval(Estimate.exact(2.0)) == "2"

from __future__ import annotations

import pytest

from tuner.reading.wording import bare
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

import copy
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import InputError, SetupError
from tuner.measure.golden import load_golden, matches

numbers = st.integers(-(10**6), 10**6) | st.floats(allow_nan=True, allow_infinity=True)
values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(values, st.floats(0, 1))
def test_a_value_matches_itself_and_its_json(value: object, tolerance: float) -> None:
    assert matches(value, copy.deepcopy(value), tolerance)
    assert matches(value, json.loads(json.dumps(value)), tolerance)


@given(values, values)
def test_matching_is_symmetric(one: object, other: object) -> None:
    assert matches(one, other, 1e-3) == matches(other, one, 1e-3)


@given(st.floats(-1e6, 1e6), st.floats(-1, 1), st.floats(1e-6, 0.1))
def test_numbers_match_within_the_tolerance(number: float, share: float, tolerance: float) -> None:
    near = number + 0.99 * share * tolerance * max(1, abs(number))
    assert matches([[number]], [[near]], tolerance)
    far = number + 3 * tolerance * max(1, abs(number))
    assert not matches([[number]], [[far]], tolerance)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, True),
        (True, 1),
        (0, None),
        ("1", 1),
        ([1], [1, 1]),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ([], {}),
        (1, math.nan),
        (math.nan, 1),
        (math.inf, -math.inf),
        (math.inf, 1e300),
        ("a", "b"),
    ],
)
def test_different_values_do_not_match(expected: object, actual: object) -> None:
    assert not matches(expected, actual, 1e-3)


def test_golden_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(
        '{"request": {"instances": [[1.5]]}, "response": {"predictions": [[0.25]]}}\n\n'
        '{"request": {"instances": ["ä"]}, "response": {"predictions": [1]}}\n',
        encoding="utf-8",
    )
    golden = load_golden(path)
    assert [json.loads(body) for body in golden.bodies] == [
        {"instances": [[1.5]]},
        {"instances": ["ä"]},
    ]
    assert golden.answered(0, b'{"predictions": [[0.2501]]}', 1e-3)
    assert not golden.answered(0, b'{"predictions": [[0.3]]}', 1e-3)
    assert not golden.answered(1, b'{"predictions": [[0.25]]}', 1e-3)
    assert not golden.answered(0, b"{", 1e-3)
    assert not golden.answered(0, b"\xff", 1e-3)


def test_a_model_that_is_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no golden requests"):
        load_golden(tmp_path / "golden.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no golden request"),
        ('{"request": 1, "response": 1}\n{oops', "line 2: not JSON"),
        ('\n{"request": 1}', "line 2: the keys `request` and `response` are missing"),
        ("[1]", "line 1: the keys `request` and `response` are missing"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "golden.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_golden(path)

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import conditional
from tuner.errors import InputError
from tuner.spec.expressions import parse_condition
from tuner.spec.fingerprint import to_dict
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.space import Condition, Parameter, SearchSpace


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batching == true", Condition("batching", "==", (True,))),
        ("  batching==false ", Condition("batching", "==", (False,))),
        ("replicas != 3", Condition("replicas", "!=", (3,))),
        ("cpu == 0.5", Condition("cpu", "==", (0.5,))),
        ("rate == 1e-3", Condition("rate", "==", (1e-3,))),
        ("inter_op == -1", Condition("inter_op", "==", (-1,))),
        ("mode == fast", Condition("mode", "==", ("fast",))),
        ('mode == "1"', Condition("mode", "==", ("1",))),
        ("in == 'a b'", Condition("in", "==", ("a b",))),
        ("mode in [fast, 2, true]", Condition("mode", "in", ("fast", 2, True))),
        ("mode in[slow]", Condition("mode", "in", ("slow",))),
    ],
)
def test_a_condition_is_read_as_a_yaml_file_holds_its_values(
    text: str, expected: Condition
) -> None:
    found = parse_condition(text)
    assert found == expected
    assert list(map(type, found.values)) == list(map(type, expected.values))


@pytest.mark.parametrize(
    "text",
    [
        "", "batching", "== true", "batching ==", "batching = true", "batching is true",
        "batching == [true]", "mode in fast", "mode in []", "mode in [a", "mode in [[a]]",
        "mode in - a", "mode not in [a]", "mode == a: b", "mode == null", "mode == 2024-01-01",
        "mode == 2024-99-99", "mode == 'a", "Mode == a", "1 == mode", "a < 3", "x == !!python/none",
    ],
)  # fmt: skip
def test_any_other_form_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InputError, match=re.escape("a condition such as 'batching == true'")):
        parse_condition(text)


@given(st.text(max_size=20))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    for condition in (text, f"a == {text}", f"a in [{text}]"):
        try:
            assert parse_condition(condition).values
        except InputError as error:
            assert error.message  # noqa: PT017 -- most texts are refused, a few are conditions


def test_what_a_condition_says_reads_back() -> None:
    for text in ("a == true", "a != 0.25", "a in [1, b, false]"):
        assert str(parse_condition(text)) == text
        assert parse_condition(str(parse_condition(text))) == parse_condition(text)


def test_true_and_one_are_different() -> None:
    assert not Condition("a", "==", (True,)).holds(1)
    assert Condition("a", "!=", (1,)).holds(True)
    assert Condition("a", "in", (2.0, 1)).holds(2)


@settings(deadline=None)
@given(conditional.spaces())
def test_the_grid_has_each_configuration_of_the_definition_once(space: SearchSpace) -> None:
    grid = list(space.grid())
    assert len(grid) == len(set(grid)) == space.size()
    assert set(grid) == set(conditional.configurations(space))
    assert space.baseline() in grid


@settings(deadline=None)
@given(conditional.spaces())
def test_filling_and_leaving_out_undo_each_other(space: SearchSpace) -> None:
    names = {p.name for p in space}
    for configuration in space.grid():
        filled = space.filled(configuration)
        assert filled.keys() == names
        assert all(filled[n] == space[n].default for n in names - configuration.keys())
        assert space.effective(filled) == configuration
        assert list(space.effective(filled)) == [p.name for p in space if p.name in configuration]


def test_what_is_not_known_yet_is_not_filled() -> None:
    space = conditional.BATCHING
    assert space.filled({}) == {}
    assert space.filled({"cpu": 0.5}) == {"cpu": 0.5}
    assert space.filled({"batching": True}) == {"batching": True}
    off = {"batching": False, "size": 16, "padding": "none"}
    assert space.filled({"batching": False}) == off
    small = {"batching": True, "size": 4}
    assert space.filled(small) == {**small, "padding": "none"}


def test_an_active_parameter_must_have_a_value() -> None:
    with pytest.raises(KeyError, match="size"):
        conditional.BATCHING.effective({"cpu": 1.0, "batching": True, "net": "wifi"})


def test_a_chain_and_its_order() -> None:
    space = conditional.BATCHING
    names = [p.name for p in space.parents_first]
    assert names == ["cpu", "batching", "size", "padding", "net"]
    assert space.size() == 36
    assert space.baseline() == {"cpu": 1.0, "batching": False, "net": "wifi"}


def test_a_continuum_counts_only_where_it_can_be_reached() -> None:
    mode = Parameter("mode", "categorical", "decision", "a", choices=("a", "b"))
    share = Parameter("share", "float", "decision", 0.5, low=0.0, high=1.0)
    for values, size in ((("b",), None), (("c",), 2)):
        when = Condition("mode", "in", values)
        space = SearchSpace((mode, Parameter(**{**vars(share), "when": when})))
        assert space.size() == size
    with pytest.raises(ValueError, match="'share' is continuous"):
        list(SearchSpace((mode, share)).grid())


def test_flags_and_variables_are_those_of_active_parameters() -> None:
    space = conditional.BATCHING
    off = space.effective(space.filled({"cpu": 1.0, "batching": False, "net": "wifi"}))
    assert space.settings(off) == ({"enable_batching": "false"}, {})
    on = {**off, "batching": True, "size": 64, "padding": "zeros"}
    assert space.settings(on) == (
        {"enable_batching": "true", "max_batch_size": "64"},
        {"PADDING": "zeros"},
    )


def test_a_condition_is_part_of_the_specification_as_data() -> None:
    space = to_dict(load_study("mnist_knobs", Host(2, 8192)))["search_space"]
    assert space["cpu"]["when"] is None
    assert json.loads(json.dumps(space["max_batch_size"]["when"])) == {
        "parameter": "enable_batching",
        "comparison": "==",
        "values": [True],
    }

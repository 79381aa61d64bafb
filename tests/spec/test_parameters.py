from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.spec.host import Host
from tuner.spec.parameters import ProblemsFoundError, resolve_parameter
from tuner.spec.space import Configuration, Parameter, SearchSpace
from tuner.spec.yaml_documents import ParameterDocument

HOST = Host(cpus=4, memory_mib=4096)


def own(host: Host = HOST, **keys: object) -> Parameter:
    """A parameter outside the built-in ones, resolved."""
    document = ParameterDocument.model_validate({"role": "decision", "flag": "x", **keys})
    return resolve_parameter("x", document, host)


def keys_of(error: pytest.ExceptionInfo[ProblemsFoundError]) -> set[str | int]:
    return {problem.key[0] for problem in error.value.problems}


@given(low=st.integers(-1000, 1000), width=st.integers(0, 500), step=st.integers(1, 50))
def test_int_grid(low: int, width: int, step: int) -> None:
    parameter = own(type="int", low=low, high=low + width, step=step, default=low)
    values = parameter.values()
    assert values == tuple(range(low, low + width + 1, step))
    assert parameter.high == values[-1], "the high bound is on the grid"
    assert all(type(value) is int for value in values)


@given(
    low=st.integers(-100, 100), count=st.integers(0, 200), digits=st.integers(0, 3), data=st.data()
)
def test_float_grid(low: int, count: int, digits: int, data: st.DataObject) -> None:
    step = 10**-digits
    high = round(low + count * step, digits)
    index = data.draw(st.integers(0, count))
    default = round(low + index * step, digits)
    # Half a step more than the grid has room for changes nothing.
    parameter = own(type="float", low=low, high=high + step / 2, step=step, default=default)
    values = parameter.values()
    assert values is not None
    assert len(values) == count + 1
    assert values[index] == parameter.default == default
    assert parameter.high == values[-1] == high


@given(
    choices=st.lists(st.integers(1, 1000), min_size=1, max_size=8, unique=True).map(sorted),
    low=st.integers(1, 1000),
    high=st.integers(1, 1000),
)
def test_low_and_high_leave_choices_out(choices: list[int], low: int, high: int) -> None:
    kept = tuple(choice for choice in choices if low <= choice <= high)
    limited = partial(own, type="int", choices=choices, low=low, high=high)
    if kept:
        assert limited(default=kept[0]).values() == kept
        for choice in set(choices) - set(kept):
            with pytest.raises(ProblemsFoundError) as error:
                limited(default=choice)
            assert keys_of(error) == {"default"}
    else:
        with pytest.raises(ProblemsFoundError) as error:
            limited(default=choices[0])
        assert keys_of(error) == {"choices"}


@given(cpus=st.integers(1, 256))
def test_choices_of_the_host_are_ascending_and_unique(cpus: int) -> None:
    choices = ["host.cpus", 1, 2, "host.cpus * 2", "max(1, host.cpus // 2)"]
    parameter = own(Host(cpus, 1024), type="int", choices=choices, default=1)
    values = parameter.values()
    assert values is not None
    assert values == tuple(sorted({cpus, 1, 2, 2 * cpus, max(1, cpus // 2)}))


@given(low=st.floats(1e-6, 1e3), factor=st.floats(1, 1e6), share=st.floats(0, 1))
def test_continuum(low: float, factor: float, share: float) -> None:
    low, high = float(f"{low:.12g}"), float(f"{low * factor:.12g}")
    default = min(max(float(f"{low + share * (high - low):.12g}"), low), high)
    parameter = own(type="float", low=low, high=high, log=True, default=default)
    assert parameter.values() == (None if low < high else (low,))
    assert (parameter.low, parameter.high, parameter.default) == (low, high, default)


@given(value=st.integers(-10, 20) | st.floats(-10, 20) | st.booleans())
def test_default_is_a_value_or_refused(value: float) -> None:
    if not isinstance(value, bool) and value in range(1, 9):
        assert own(type="int", low=1, high=8, default=value).default == value
        return
    with pytest.raises(ProblemsFoundError) as error:
        own(type="int", low=1, high=8, default=value)
    assert keys_of(error) == {"default"}


def test_true_and_one_are_different_choices() -> None:
    parameter = own(type="categorical", choices=[True, 1, "1"], default=1)
    assert parameter.default is parameter.choices[1]  # type: ignore[index] # set above
    with pytest.raises(ProblemsFoundError):
        own(type="categorical", choices=[True, "1"], default=1)


def test_text_of_a_categorical_parameter_is_no_expression() -> None:
    parameter = own(type="categorical", choices=["host.cpus", "2"], default="host.cpus")
    assert parameter.default == "host.cpus"


def test_int_choices_become_floats_of_a_float_parameter() -> None:
    values = own(type="float", choices=[0, 1, 5], default=0).values()
    assert values == (0.0, 1.0, 5.0)
    assert all(type(value) is float for value in values)


def test_all_problems_of_a_parameter_are_told() -> None:
    with pytest.raises(ProblemsFoundError) as error:
        own(type="int", low="host.cpu", high="2 **", default=1.5)
    assert keys_of(error) == {"low", "high", "default"}


def test_space_has_the_grid_of_its_parameters() -> None:
    space = SearchSpace(
        (
            own(type="int", low=1, high=3, default=2),
            resolve_parameter(
                "loss",
                ParameterDocument(type="float", role="scenario", choices=[0, 5], default=0),
                HOST,
            ),
        )
    )
    assert space.size() == len(list(space.grid())) == 6
    assert space.baseline() == {"x": 2, "loss": 0}
    assert space.scenario_of(Configuration.of({"x": 1, "loss": 5.0})) == {"loss": 5}

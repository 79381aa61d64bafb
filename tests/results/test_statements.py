from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.results.known_truth import SERVING, Truth, sample
from tuner.arrays import Floats
from tuner.results.dependence import Effect, parameter_effects
from tuner.results.importance import interactions
from tuner.results.joint_effects import joint_statements
from tuner.results.laws import law_of
from tuner.results.statements import Statement, level, moves, readings
from tuner.results.thresholds import feasibility
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace


def read(
    name: str, *truths: Truth, doubt: float = 0.01, space: SearchSpace = SERVING
) -> tuple[Statement, ...]:
    """What is said of a parameter's effect on ART (and on CPU usage)."""
    metrics = ("art_ms", "cpu_percent")[: len(truths)]
    known = sample(space, dict(zip(metrics, truths, strict=True)), doubt=doubt)
    found = {}
    for metric in metrics:
        found[metric] = next(
            e for e in parameter_effects(known, metric) if e.parameter.name == name
        )
    return readings(found)


def test_no_effect() -> None:
    (said,) = read("memory", lambda c: 3.0 + c["replicas"])
    assert said.kind == "no effect"
    assert said.probability > 0.99
    assert str(said) == (
        "memory hardly changes ART: by less than 3 % from 48 to 128 MiB (P > 0.99)"
    )


def test_a_plateau_says_what_still_changes_on_it() -> None:
    art, cpu = read(
        "replicas",
        lambda c: 20.0 / min(c["replicas"], 4),
        lambda c: 10 * 1.11 ** c["replicas"],
        doubt=0.001,
    )
    assert art.kind == "plateau"
    assert art.metric == "art_ms"
    assert art.text == (
        "beyond 4 replicas ART stops falling: 20 ms at 1, 5 at 4, 5 at 6;"
        " CPU usage still rises: each replica adds 11 % (11-11)"
    )
    assert (cpu.kind, cpu.metric) == ("rises", "cpu_percent")


def test_a_plateau_of_a_parameter_with_a_unit() -> None:
    (said,) = read("memory", lambda c: 9.0 if c["memory"] < 96 else 3.0)
    assert said.kind == "plateau"
    assert said.text.startswith("beyond 96 MiB of memory ART stops falling: 9 ms at 48, 3 at 96")


def test_so_much_per_unit() -> None:
    (said,) = read("loss", lambda c: 2 + 3.1 * c["loss"])
    assert said.kind == "rises"
    assert said.text.startswith("ART rises with loss: 2 ms at 0, 17.5 at 5 %; each % of loss adds")
    assert "adds 3.1 ms (3." in said.text


def test_so_much_per_doubling() -> None:
    (said,) = read("cpu", lambda c: 4 / c["cpu"])
    assert said.kind == "falls"
    assert "each doubling of cpu takes off 50 % (" in said.text


def test_level_up_to_a_value() -> None:
    (said,) = read("concurrency", lambda c: max(4, c["concurrency"]))
    assert said.kind == "onset"
    assert said.text == (
        "up to 4 connections (concurrency) ART hardly changes, beyond it rises:"
        " 4 ms at 1, 4 at 4, 16 at 16 connections"
    )


def test_an_optimum_inside() -> None:
    (said,) = read("replicas", lambda c: 2 + abs(c["replicas"] - 3))
    assert said.kind == "optimum"
    assert said.text == "ART is least at 3 replicas: 4 ms at 1, 2 at 3, 5 at 6"
    # Half of the draws are least at 3, half at 4.
    draws = np.tile([[4.0, 3, 2, 2.5, 3, 4], [4, 3, 2.5, 2, 3, 4]], (50, 1))
    effect = Effect(
        SERVING["replicas"],
        "art_ms",
        Configuration(()),
        (1, 2, 3, 4, 5, 6),
        draws,
        draws,
        1,
        (),
        (),
    )
    (said,) = readings({"art_ms": effect})
    assert said.kind == "optimum"
    assert said.text.startswith("ART is least between 3 and 4 replicas: 4 ms at 1")


def test_what_is_in_doubt_is_not_settled() -> None:
    (said,) = read("memory", lambda _: 3.0, doubt=0.7)
    assert said.kind == "not settled"
    assert said.probability < 0.8
    assert said.text.startswith("the effect of memory on ART is not settled, most likely")


def test_ends_that_differ_are_stated_though_the_way_between_is_not_settled() -> None:
    rng = np.random.default_rng(0)
    draws = np.array([10.0, 6.0, 5.0]) * np.exp(rng.normal(0, [0.02, 0.4, 0.02], (400, 3)))
    effect = Effect(
        *(SERVING["replicas"], "art_ms", Configuration(()), (1, 2, 4), draws, draws, 1, (), ())
    )
    (said,) = readings({"art_ms": effect})
    assert said.kind == "not settled"
    assert said.probability > 0.99
    assert said.text.startswith("ART falls with replicas from end to end: -50 % (")
    assert said.text.endswith("whether it falls at every step between is not settled")


@given(
    arrays(np.float64, (20, 4), elements=st.floats(0.1, 100)),
)
def test_no_curve_is_level_and_moves_or_rises_and_falls(draws: np.ndarray) -> None:
    flat, rising, falling = level(draws), moves(draws, 1), moves(draws, -1)
    assert not (rising & falling).any()
    assert not (flat & (rising | falling)).any()
    assert (moves(draws[:, ::-1], -1) == rising).all()
    assert (moves(1 / draws, -1) == rising).all()


MODES = SearchSpace(
    (
        Parameter("mode", "categorical", "decision", "a", choices=("a", "b", "c"), flag="mode"),
        Parameter("cpu", "float", "decision", 1.0, choices=(1.0, 2.0), unit="cores"),
        Parameter("size", "int", "decision", 1, choices=(1, 4), flag="s",
                  when=Condition("mode", "!=", ("c",))),
    )
)  # fmt: skip


def test_categories_are_ranked() -> None:
    speed = {"a": 2.0, "b": 3.0, "c": 2.5}
    (said,) = read("mode", lambda c: speed[c["mode"]], space=MODES)
    assert said.kind == "ranking"
    assert said.text.startswith("ART is least with mode a: 2 ms; +25 % (")
    assert said.text.index("with c") < said.text.index("with b")
    (said,) = read("mode", lambda _: 2.0, space=MODES)
    assert said.text == "mode hardly changes ART: by less than 3 % between a, b and c"
    (said,) = read("mode", lambda _: 2.0, space=MODES, doubt=0.3)
    assert said.kind == "not settled"


def test_a_conditional_parameter_says_where_it_is_there() -> None:
    (said,) = read("size", lambda c: 1.0 * c.get("size", 9), space=MODES)
    assert said.kind == "rises"
    assert said.text.endswith(", where mode != c")


MEMORY = SERVING["memory"]


def test_values_that_are_too_little() -> None:
    table = np.repeat([[0.01], [0.05], [0.97], [0.99]], 6, axis=1)
    (said,) = feasibility(MEMORY, (48, 64, 96, 128), table)
    assert (said.kind, said.metric) == ("infeasible", None)
    assert str(said) == "64 MiB of memory or less is too little (P 0.95)"
    (said,) = feasibility(MEMORY, (48, 64, 96), table[[0, 2, 3]])
    assert str(said) == "48 MiB of memory is too little (P 0.99)"


def test_values_that_are_too_much_or_not_feasible() -> None:
    concurrency = SERVING["concurrency"]
    (said,) = feasibility(concurrency, (1, 4, 16), np.array([[0.99], [0.98], [0.02]]))
    assert said.text == "16 connections (concurrency) is too much"
    (said,) = feasibility(concurrency, (1, 4, 16), np.array([[0.99], [0.02], [0.98]]))
    assert said.text == "4 connections (concurrency) is not feasible"
    (said,) = feasibility(MODES["mode"], ("a", "b", "c"), np.array([[0.02], [0.98], [0.98]]))
    assert said.text == "mode a is not feasible"


def test_values_that_serve_at_times_and_nothing_where_all_is_in_doubt() -> None:
    some = np.array([[0.01, 0.02, 0.98, 0.99], [0.99] * 4])
    (said,) = feasibility(MEMORY, (48, 64), some)
    assert said.kind == "partly feasible"
    assert said.text.startswith("48 MiB of memory is feasible in some settings")
    assert "50 %" in said.text
    assert feasibility(MEMORY, (48, 64), np.full((2, 4), 0.4)) == ()


def test_two_parameters_that_act_together() -> None:
    def art(c: Mapping[str, Any]) -> float:
        return float(max(c["concurrency"] / c["replicas"], 1.0) + c["loss"] / 10)

    known = sample(SERVING, {"art_ms": art})
    found = joint_statements(known, interactions(known, "art_ms"))
    assert found[0].kind == "interaction"
    assert found[0].parameters == ("replicas", "concurrency")
    assert "replicas from 1 to 6:" in found[0].text
    assert "at 1 connection (concurrency)" in found[0].text
    assert "-82 % (" in found[0].text
    alone = sample(SERVING, {"art_ms": lambda c: 2.0 / c["cpu"] * c["replicas"]})
    assert joint_statements(alone, interactions(alone, "art_ms")) == ()


Curve = Callable[[Floats], Floats]


@pytest.mark.parametrize(
    ("curve", "kind", "slope"),
    [
        (lambda x: 1 + 2 * x, "sum", 2.0),
        (lambda x: 3 * 1.5**x, "factor", 0.5),
        (lambda x: 5 * x**-1.0, "doubling", -0.5),
    ],
)
def test_laws_are_recognised(curve: Curve, kind: str, slope: float) -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0])
    noise = np.exp(0.001 * np.random.default_rng(0).standard_normal((100, 1)))
    law = law_of(x, curve(x) * noise)
    assert law is not None
    assert law.kind == kind
    assert law.slope.mean() == pytest.approx(slope, rel=0.02)
    assert law_of(x, np.array([[1.0, 5.0, 2.0, 4.0]])) is None
    assert law_of(x[:2], curve(x[:2]) * noise) is None

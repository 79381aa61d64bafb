"""What figures of parameters show: points, levels, curves and their tables."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conditional import BATCHING
from tests.pages.planted_trials import (
    BROKEN,
    CONCURRENCY,
    CPU,
    LOSS,
    MEMORY,
    REPLICAS,
    infeasible,
    measured,
    sources,
    study,
    surveyed,
)
from tuner.measure.record import StudyRecord
from tuner.pages.effect_figure import Dependence, dependences
from tuner.pages.effects import Row, rows
from tuner.results.explain import explain
from tuner.results.levels import MOST, position, scenario_levels
from tuner.spec.space import Parameter, SearchSpace

SPACE = SearchSpace((LOSS, CPU, REPLICAS, CONCURRENCY))


def art(c: Mapping[str, Any]) -> float:
    return float((1 + c["concurrency"] / c["cpu"]) * (1 + 10 * c["loss"]))


def usage(c: Mapping[str, Any]) -> float:
    return float(10 * c["cpu"] + 2 * c["replicas"])


@pytest.fixture(scope="module")
def record() -> StudyRecord:
    """The whole space measured; five more trials that cannot be compared."""
    known = surveyed(SPACE, {"art_ms": art, "cpu_percent": usage})
    bad = {"loss": 0.0, "cpu": 0.5, "replicas": 3, "concurrency": 4}
    more = [
        infeasible(100, bad, "out of memory"),
        infeasible(101, bad, "out of memory"),
        infeasible(102, {**bad, "cpu": 2.0}, "never ready"),
        measured(103, bad, (9.0, 11.0), violations={BROKEN: 0.5, "serves": -1.0}),
        measured(104, bad, (9.0, 11.0), cut_short="surely dominated"),
    ]
    return replace(known, trials=(*known.trials, *more))


@pytest.fixture(scope="module")
def found(record: StudyRecord) -> dict[str, Dependence]:
    return {d.parameter.name: d for d in dependences(record, explain(record))}


def test_the_five_variables_come_first_and_constants_not_at_all() -> None:
    extra = Parameter("batch", "int", "decision", 1, choices=(1, 2), flag="b")
    fixed = Parameter("delay", "float", "scenario", 0.0, choices=(0.0,))
    space = SearchSpace((extra, fixed, LOSS, MEMORY, CPU, REPLICAS, CONCURRENCY))
    record = study(space, [measured(0, space.baseline(), (1.0, 2.0))])
    names = [d.parameter.name for d in dependences(record, explain(record))]
    assert names == ["concurrency", "replicas", "cpu", "memory", "loss", "batch"]


def test_points_are_feasible_trials_measured_to_the_end(found: dict[str, Dependence]) -> None:
    points = found["cpu"].points
    assert len(points.x) == 36
    assert points.trial.max() < 100
    assert points.measured.shape == (36, 2)
    assert set(points.x) == {0.5, 1.0, 2.0}


def test_infeasible_trials_are_counted_at_their_value(found: dict[str, Dependence]) -> None:
    cpu = found["cpu"]
    assert dict(zip(cpu.infeasible_x, cpu.infeasible, strict=True)) == {0.5: 3, 2.0: 1}


def test_points_are_told_apart_by_the_scenario_that_matters_most(
    found: dict[str, Dependence],
) -> None:
    assert found["cpu"].by == "loss"
    assert [level.text for level in found["cpu"].levels] == ["loss 0 %", "loss 1 %"]
    assert found["loss"].by == "concurrency"


def test_curves_of_levels_hold_the_other_scenario_at_its_default(
    found: dict[str, Dependence],
) -> None:
    panel = found["cpu"].panels[0]
    assert panel.fixed == {"concurrency": 4}
    assert [dict(c.scenario) for _, c in panel.by_level] == [
        {"concurrency": 4, "loss": 0.0},
        {"concurrency": 4, "loss": 1.0},
    ]
    low, high = (c.typical.value for _, c in panel.by_level)
    assert np.array(high, float) == pytest.approx(11 * np.array(low, float), rel=0.1)


def test_a_wide_range_has_a_logarithmic_axis(found: dict[str, Dependence]) -> None:
    assert found["cpu"].panels[0].log
    assert not found["cpu"].panels[1].log
    assert not found["loss"].log


def test_rows_hold_the_model_the_range_measured_and_the_counts(
    found: dict[str, Dependence],
) -> None:
    table = list(rows(found["cpu"]))
    over_all = [r for r in table if r.level is None]
    assert [(r.value, r.trials, r.infeasible) for r in over_all] == [
        (0.5, 12, 3),
        (1.0, 12, 0),
        (2.0, 12, 1),
    ]
    assert over_all[0].measured[0] == (3.0, 99.0)
    assert [(r.level, r.value, r.trials) for r in table if r.level is not None] == [
        (level, value, 6) for level in (0, 1) for value in (0.5, 1.0, 2.0)
    ]
    assert all(inside(r) for r in table)


def inside(row: Row) -> bool:
    """Whether every estimate is there and within its band."""
    return all(m is not None and m[1] <= m[0] <= m[2] for m in row.model)


def test_few_trials_have_points_and_no_curve() -> None:
    record = surveyed(SPACE, {"art_ms": art, "cpu_percent": usage}, every=9)
    found = dependences(record, explain(record))
    assert all(len(d.points.x) == 4 for d in found)
    assert all(p.curve is None and not p.by_level for d in found for p in d.panels)
    assert all(r.model == (None, None) for d in found for r in rows(d))


def test_trials_without_a_conditional_parameter_are_counted_as_absent() -> None:
    record = surveyed(BATCHING, {"art_ms": lambda c: 1 / c["cpu"] + c.get("size", 0)})
    found = {d.parameter.name: d for d in dependences(record, explain(record))}
    having = sum("size" in t.configuration for t in record.trials)
    assert found["size"].absent == len(record.trials) - having > 0
    assert len(found["size"].points.x) == having
    # False and True are categories here, whatever their numbers.
    assert set(found["batching"].points.x) == {0.0, 1.0}


def test_an_empty_study_has_empty_figures() -> None:
    found = dependences(study(SPACE, []), sources(study(SPACE, [])).explanation)
    assert all(not len(d.points.x) and not len(d.infeasible) for d in found)


RATE = Parameter("rate", "float", "scenario", 10.0, low=1.0, high=100.0, unit="requests/s")


@given(st.lists(st.floats(1, 100), min_size=1, max_size=30))
def test_every_trial_is_in_a_level_that_holds_its_value(rates: Sequence[float]) -> None:
    space = SearchSpace((RATE,))
    record = study(space, [measured(i, {"rate": r}, (1.0, 1.0)) for i, r in enumerate(rates)])
    among, level_of = scenario_levels(record, "rate")
    members: dict[int, list[float]] = {}
    for trial in record.trials:
        members.setdefault(level_of(trial), []).append(float(trial.configuration["rate"]))
    assert sorted(members) == list(range(len(among))), "no level is empty"
    assert len(among) <= MOST
    # Groups are ranges: they do not overlap.
    ranges = [(min(members[k]), max(members[k])) for k in sorted(members)]
    assert all(a[1] < b[0] for a, b in itertools.pairwise(ranges))


def test_rare_categories_share_a_level_and_missing_values_have_their_own() -> None:
    net = Parameter("net", "categorical", "scenario", "a", choices=tuple("abcdef"))
    record = study(
        SearchSpace((net, CPU)),
        [measured(i, {"net": n, "cpu": 1.0}, (1.0, 1.0)) for i, n in enumerate("abcdef")],
    )
    among, level_of = scenario_levels(record, "net")
    assert [level.text for level in among] == ["net a", "net b", "net c", "another net"]
    assert [level_of(t) for t in record.trials] == [0, 1, 2, 3, 3, 3]
    without = replace(record, trials=(*record.trials[:2], measured(9, {"cpu": 1.0}, (1.0, 1.0))))
    among, level_of = scenario_levels(without, "net")
    assert [level.text for level in among] == ["net a", "net b", "without net"]
    assert level_of(without.trials[-1]) == 2
    assert position(net, "f") == 5.0

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.small import BUSY, FULL, infeasible, study, trial
from tuner.errors import InputError
from tuner.export.choice import SHORT, Best, EachScenario, Every, Knee, LeastRegret, Numbers, parse
from tuner.export.pick import pick
from tuner.export.scenario import scenario
from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.spec.metrics import METRICS
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import Constraint, Objective

OBJECTIVES = FULL.objectives
BOUNDS = st.builds(
    Constraint,
    st.sampled_from(list(METRICS)),
    st.sampled_from(["<=", ">="]),
    st.integers(-1000, 1000).map(lambda n: n / 8),
)


def numbers(trials: tuple[TrialRecord, ...]) -> list[int]:
    return [t.number for t in trials]


@given(st.lists(st.integers(0, 10**17), min_size=1, max_size=8), st.sampled_from([",", " , "]))
def test_numbers_are_read_once_each_ascending(asked: list[int], comma: str) -> None:
    found = parse(comma.join(map(str, asked)), OBJECTIVES)
    assert found == Numbers(tuple(sorted(set(asked))))


@given(
    st.sampled_from([("min", "minimize"), ("max", "maximize")]),
    st.sampled_from(list(METRICS)),
    st.lists(BOUNDS, max_size=4),
    st.sampled_from([" ", "  ", "\n\t"]),
)
def test_a_budget_is_read_as_it_is_written(
    word: tuple[str, str], metric: str, bounds: list[Constraint], space: str
) -> None:
    where = f"{space}where{space}" + f"{space}and{space}".join(map(str, bounds)) if bounds else ""
    found = parse(f"{word[0]}{space}{metric}{where}", OBJECTIVES)
    assert isinstance(found, Best)
    assert (found.metric, found.direction) == (metric, word[1])
    assert [str(b) for b in found.within] == [str(b) for b in bounds]


@given(st.text(max_size=60) | st.from_regex(r"(min|max)[ -][a-z_ <=>0-9.]*", fullmatch=True))
def test_any_other_text_is_an_input_error(text: str) -> None:
    try:
        found = parse(text, OBJECTIVES)
    except InputError as refused:
        said = refused
    else:
        assert isinstance(found, (Knee, Every, Numbers, Best))
        return
    assert said.mend


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("min-art", Best("art_ms", "minimize")),
        ("min-cpu", Best("cpu_percent", "minimize")),
        ("min-cpu_percent", Best("cpu_percent", "minimize")),
        (" knee ", Knee()),
        ("robust", LeastRegret()),
        ("recommended", EachScenario()),
        ("all", Every()),
    ],
)
def test_short_names(text: str, expected: object) -> None:
    assert parse(text, OBJECTIVES) == expected
    assert set(SHORT.values()) <= METRICS.keys()


def test_max_is_for_what_is_maximised() -> None:
    objectives = (Objective("throughput_rps", "maximize"),)
    assert parse("max-throughput_rps", objectives) == Best("throughput_rps", "maximize")
    with pytest.raises(InputError, match="no such objective") as caught:
        parse("min-throughput_rps", objectives)
    assert "it has max-throughput_rps" in caught.value.mend


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max-art", "it has min-art, min-cpu"),
        ("min-p95_ms", "it has min-art, min-cpu"),
        ("min art_mss", "did you mean 'art_ms'?"),
        ("min art_ms where cpu_percent < 40", "a metric, <= or >=, a number"),
        ("min art_ms where cpu_percent <= 40 and", "cannot pick"),
        ("min art_ms where cpu_percnt <= 40", "cpu_percent in % of host"),
        ("min art_ms where", "cannot pick"),
        ("knee 7", "expected knee, recommended, robust, all, trial numbers"),
    ],
)
def test_what_cannot_be_picked_says_what_can(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, OBJECTIVES)
    assert words in f"{caught.value.message} {caught.value.mend}"


@pytest.mark.parametrize(
    ("choice", "when", "expected"),
    [
        ("min-art", None, [0]),
        ("min-cpu", None, [1]),
        ("min art_ms where cpu_percent <= 15", None, [2]),
        ("min art_ms where cpu_percent <= 15 and art_ms >= 20", None, [1]),
        ("max art_ms", None, [6]),
        ("min p95_ms", None, [0]),
        ("knee", "concurrency=8,loss=1", [6]),
        ("all", "concurrency=1, loss=0", [0, 1, 2]),
        ("all", "loss=1.0", [6]),
        ("min-art", "loss=1", [6]),
        ("3,0", None, [0, 3]),
        ("6", "loss=1", [6]),
    ],
)
def test_picks(choice: str, when: str | None, expected: list[int]) -> None:
    assert numbers(pick(FULL, choice, when)) == expected


def test_of_equals_in_one_objective_the_better_in_the_other_is_picked() -> None:
    tied = study(trial(0, 10.0, 40.0), trial(1, 10.0, 30.0), trial(2, 10.0, 50.0))
    assert numbers(pick(tied, "min-art")) == [1]


def test_repeats_count_together_and_not_the_luckiest_burst() -> None:
    lucky = [trial(n, art, 40.0, configuration={"cpu": 0.5}) for n, art in enumerate((5.0, 20.0))]
    steady = trial(2, 8.0, 40.0)
    assert numbers(pick(study(*lucky, steady), "min-art")) == [2]


def test_what_does_not_fit_names_the_nearest_with_units() -> None:
    with pytest.raises(InputError) as caught:
        pick(FULL, "min art_ms where cpu_percent <= 9 and p95_ms <= 30")
    assert "none of 5 feasible configurations has cpu_percent <= 9 % of host" in (
        caught.value.message
    )
    assert "nearest is trial 1 with cpu_percent 10 % of host" in caught.value.mend


def test_a_metric_that_was_not_measured_is_no_zero() -> None:
    with pytest.raises(InputError, match="measured power_w"):
        pick(FULL, "min art_ms where power_w <= 5")
    some = replace(FULL.trials[3])
    assert some.measurement is not None
    metrics = {**some.measurement.metrics, "power_w": Estimate(3.0)}
    with_power = replace(some, measurement=replace(some.measurement, metrics=metrics))
    found = replace(FULL, trials=(*FULL.trials[:3], with_power))
    assert numbers(pick(found, "min art_ms where power_w <= 5")) == [3]
    assert numbers(pick(found, "min power_w")) == [3]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("0", "trial 0 was measured at concurrency=1 loss=0, not at concurrency=8 loss=1"),
        ("min art_ms where cpu_percent <= 20", "none of 1 feasible configurations"),
    ],
)
def test_a_scenario_bounds_every_pick(choice: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        pick(FULL, choice, "loss=1")
    assert words in caught.value.message


@pytest.mark.parametrize("choice", ["knee", "all", "min-art"])
def test_a_scenario_in_which_nothing_is_feasible(choice: str) -> None:
    broken = replace(
        infeasible(1), configuration=trial(1, 1.0, 1.0, configuration=BUSY).configuration
    )
    with pytest.raises(InputError, match="no feasible trial among its 1 at concurrency=8 loss=1"):
        pick(study(trial(0, 1.0, 1.0), broken), choice, "loss=1")


CROSSED: StudyRecord = study(
    *(
        trial(n, 10.0 + n, 40.0, configuration={"concurrency": c, "loss": loss})
        for n, (c, loss) in enumerate([(1, 0.0), (1, 1.0), (8, 0.0), (8, 1.0)])
    )
)


def test_a_whole_scenario_is_named_in_any_order_and_spelling() -> None:
    for text in (
        "loss=1,concurrency=8",
        " concurrency = 8 , loss = 1.00 ",
        "concurrency=8,loss=1e0",
    ):
        assert scenario(CROSSED, text) == Configuration.of(BUSY)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loss=1", "add concurrency (1, 8)"),
        ("loss=2,concurrency=1", "measured are loss (0, 1 %)"),
        ("los=1", "did you mean 'loss'?"),
        ("cpu=1", "cpu is a decision"),
        ("cpu=1", "--when takes concurrency (1, 8), loss (0, 1 %)"),
        ("loss", "expected something like concurrency=1,loss=0"),
        ("", "is not a scenario"),
        ("loss=1,loss=0", "is not a scenario"),
        ("loss=one,concurrency=1", "measured are loss (0, 1 %)"),
    ],
)
def test_what_is_no_scenario_names_the_levels(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        scenario(CROSSED, text)
    assert words in f"{caught.value.message} {caught.value.mend}"


def test_a_combination_that_was_not_measured_names_those_that_were() -> None:
    with pytest.raises(InputError, match="measured at concurrency=8 loss=0") as caught:
        scenario(FULL, "concurrency=8,loss=0")
    assert "concurrency=1 loss=0; concurrency=8 loss=1" in caught.value.mend


def test_a_study_without_scenarios_has_none_to_choose() -> None:
    decisions = SearchSpace(FULL.search_space.with_role("decision"))
    with pytest.raises(InputError, match="no scenario parameter"):
        scenario(replace(FULL, search_space=decisions), "loss=1")


def test_an_empty_study_has_no_scenario_yet() -> None:
    with pytest.raises(InputError, match="no finished trial"):
        scenario(study(), "loss=1")


@given(st.text(max_size=40) | st.from_regex(r"[a-z]{1,5}=[0-9.]{0,3}(,[a-z]*=?.)?", fullmatch=True))
def test_any_other_scenario_is_an_input_error(text: str) -> None:
    try:
        found = scenario(CROSSED, text)
    except InputError as refused:
        said = refused
    else:
        assert found in {CROSSED.search_space.scenario_of(t.configuration) for t in CROSSED.trials}
        return
    assert said.mend

"""Two studies side by side: planted differences are found, and nothing where nothing differs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study.bursts import OBJECTIVES, SPACE, burst, lost, study
from tuner.errors import InputError
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.results.ratios import LogRatios, judged, overall
from tuner.results.two_fronts import FrontPoint, FrontScope
from tuner.results.two_studies import (
    TwoStudies,
    compare_studies,
    sentences,
    shortened,
    two_studies_document,
)
from tuner.spec.space import Condition, Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import Objective

BETWEEN = 0.04


def noisy(
    seed: int, factor: float = 1.0, repeats: int = 2, space: SearchSpace = SPACE
) -> StudyRecord:
    """Every configuration measured so often: ART falls and CPU usage grows with cores."""
    random = np.random.default_rng(seed)
    trials: list[TrialRecord] = []
    for _ in range(repeats):
        for configuration in space.grid():
            capacity = float(configuration["cpu"]) * float(configuration["replicas"]) ** 0.5
            load = float(configuration["concurrency"])
            art, usage = random.normal(0, BETWEEN, 2)
            trials.append(
                burst(
                    len(trials),
                    factor * 3 * load / capacity * math.exp(art),
                    10 * capacity * math.exp(usage),
                    **{p.name: configuration[p.name] for p in space},  # type: ignore[arg-type]
                )
            )
    return study(*trials)


def with_setting(record: StudyRecord, **environment: object) -> StudyRecord:
    return replace(record, environment={**record.environment, **environment})


def test_a_planted_change_is_found_in_each_configuration_and_overall() -> None:
    found = compare_studies(noisy(1, repeats=4), noisy(2, factor=1.3, repeats=4))
    art = found.overall["art_ms"]
    assert art.count == 32
    assert art.ratio.low is not None
    assert art.ratio.high is not None
    assert art.ratio.low < 1.3 < art.ratio.high
    assert art.ratio.low > 1.25
    assert sum(r.differs for r in found.ratios("art_ms")) > 28
    assert sum(r.differs for r in found.ratios("cpu_percent")) <= 2
    verdict, first, second, fronts = sentences(found)
    assert verdict == "A is better in 2 of 2 scenarios."
    assert first.startswith("B's ART is 1.3")
    assert "over 32 configurations" in first
    assert "differ (after correction for" in first
    assert "which noise can explain" in second
    assert "A's points clearly dominate some of B's" in fronts
    volume = found.scopes[0].hypervolume
    assert volume is not None
    assert volume.high is not None
    assert volume.high < 1


def test_two_servers_with_knobs_of_their_own_are_compared_by_their_fronts() -> None:
    """Neither search space has a configuration of the other."""
    knob = Parameter("threads", "int", "decision", 1, choices=(1, 2), flag="threads")
    loss = Parameter("loss", "float", "scenario", 0.0, choices=(0.0, 1.0))
    a = noisy(1, repeats=2)
    b = noisy(2, factor=0.5, repeats=2)
    wider = SearchSpace((*SPACE, knob, loss))
    b = replace(
        b,
        search_space=wider,
        trials=tuple(
            replace(t, configuration=Configuration.of({**t.configuration, "threads": 2, "loss": 0}))
            for t in b.trials
        ),
    )
    found = compare_studies(a, b)
    assert not found.pairs
    assert found.cautions[0].startswith("No configuration is in both search spaces.")
    verdict, ratio, *_ = sentences(found)
    assert verdict == "B is better in 2 of 2 scenarios."
    assert "no configuration was measured to the end by both" in ratio
    (whole, *_), (other, *_) = found.scopes, compare_studies(b, a).scopes
    assert (whole.a.measured, whole.b.measured) == (other.b.measured, other.a.measured) == (32, 32)
    assert (whole.ahead, other.ahead) == ("B", "A")


def test_where_nothing_differs_hardly_anything_is_said_to() -> None:
    some, tested_once, differing, covered = 25, 0, 0, 0
    plain = SearchSpace(tuple(replace(p, role="decision") for p in SPACE))
    for seed in range(some):
        a, b = (replace(noisy(2 * seed + n), search_space=plain) for n in (100, 101))
        found = compare_studies(a, b)
        ratios = [r for o in OBJECTIVES for r in found.ratios(o.metric)]
        tested_once += sum(r.p < 0.05 for r in ratios)
        differing += any(r.differs for r in ratios)
        mean = found.overall["art_ms"].ratio
        assert mean.low is not None
        assert mean.high is not None
        covered += mean.low <= 1 <= mean.high
    assert 0.02 < tested_once / (some * 64) < 0.08, "5 % of single tests"
    assert differing <= 4, "5 % of studies; more than 4 of 25 have a chance of 1 %"
    assert covered >= 21, "95 % of intervals"


def test_a_study_against_itself_is_the_same() -> None:
    record = noisy(5)
    found = compare_studies(record, record)
    assert not found.differences
    assert not any(pair.differs for pair in found.pairs)
    assert all(r.value == 1 and r.p == pytest.approx(1) for r in found.ratios("art_ms"))
    assert {scope.ahead for scope in found.scopes} == {"neither"}
    assert found.scopes[0].a.share.value == pytest.approx(1)
    assert len(found.scopes) == 1 + 2


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.floats(0.5, 2), st.integers(1, 3), st.integers(1, 3))
def test_swapped_they_say_the_inverse(seed: int, by: float, first: int, second: int) -> None:
    a, b = noisy(seed, repeats=first), noisy(seed + 1, factor=by, repeats=second)
    one, two = compare_studies(a, b), compare_studies(b, a)
    pairs = {pair.configuration: pair for pair in two.pairs}
    for pair in one.pairs:
        other = pairs[pair.configuration]
        assert (pair.values_a, pair.trials_b) == (other.values_b, other.trials_a)
        for metric, ratio in pair.ratios.items():
            inverse = other.ratios[metric]
            assert ratio.value == pytest.approx(1 / inverse.value)
            assert ratio.low == pytest.approx(1 / inverse.high)
            assert ratio.p == pytest.approx(inverse.p)
            assert ratio.differs == inverse.differs
            assert ratio.seen == pytest.approx(inverse.seen)
    for metric, mean in one.overall.items():
        inverse_mean = two.overall[metric]
        assert mean.ratio.value == pytest.approx(1 / inverse_mean.ratio.value)
        assert mean.spread == pytest.approx(inverse_mean.spread, abs=1e-6)
    swapped = {"A": "B", "B": "A", "only A": "only B", "only B": "only A"}
    for scope, other_scope in zip(one.scopes, two.scopes, strict=True):
        assert scope.a == other_scope.b
        assert scope.ahead == swapped.get(other_scope.ahead, other_scope.ahead)
        if scope.hypervolume is not None:
            assert other_scope.hypervolume is not None
            assert scope.hypervolume.value == pytest.approx(1 / other_scope.hypervolume.value)
            assert scope.hypervolume.low == pytest.approx(
                1 / (other_scope.hypervolume.high or 0), rel=0.02
            )


def test_the_smallest_effect_is_seen_about_as_often_as_is_said() -> None:
    random, errors = np.random.default_rng(4), np.full(20, 0.05)
    degrees = np.full(20, 50.0)
    seen = judged([LogRatios(np.zeros(20), errors, degrees)])[0][0].seen
    times = 0
    for _ in range(300):
        logs = random.normal(0, errors)
        logs[0] += math.log(seen)
        times += judged([LogRatios(logs, errors, degrees)])[0][0].differs
    assert 0.72 < times / 300 < 0.9


def test_the_mean_widens_where_configurations_truly_differ() -> None:
    errors, degrees = np.full(10, 0.01), np.full(10, 30.0)
    alike = overall(LogRatios(np.full(10, 0.2), errors, degrees))
    apart = overall(LogRatios(np.linspace(-0.3, 0.7, 10), errors, degrees))
    assert alike is not None
    assert apart is not None
    assert alike.spread == 0
    assert apart.spread == pytest.approx(np.std(np.linspace(-0.3, 0.7, 10), ddof=1), rel=0.02)
    assert apart.ratio.value == pytest.approx(math.exp(0.2), rel=0.01)
    assert (apart.ratio.high or 0) > 3 * ((alike.ratio.high or 0) - 1)
    assert overall(LogRatios(np.zeros(0), np.zeros(0), np.zeros(0))) is None


def test_what_differs_between_them_comes_first_where_it_can_change_a_measurement() -> None:
    base = with_setting(noisy(1, repeats=1), host={"cpus": 2, "kernel": "6.1"}, model_checksum="aa")
    other = with_setting(base, host={"cpus": 8, "kernel": "6.1"}, model_checksum="bb")
    a = replace(base, specification={"seed": 1, "load": {"arrivals": "closed"}})
    b = replace(other, specification={"seed": 2, "load": {"arrivals": "poisson"}})
    found = compare_studies(a, b)
    told = {d.key: (d.a, d.b, d.matters) for d in found.differences}
    assert told == {
        "model_checksum": ("aa", "bb", True),
        "host.cpus": ("2", "8", True),
        "load.arrivals": ("closed", "poisson", True),
        "seed": ("1", "2", False),
    }
    assert found.differences[-1].key == "seed"
    assert any("A's has 2 CPUs, B's 8" in text for text in found.cautions)
    assert any("not loaded alike (load.arrivals)" in text for text in found.cautions)
    assert any("assumed" in text for text in found.cautions)


def test_other_objectives_cannot_be_compared() -> None:
    a = noisy(1, repeats=1)
    b = replace(a, objectives=(OBJECTIVES[0], Objective("throughput_rps", "maximize")))
    with pytest.raises(InputError, match=r"different objectives.*maximize throughput_rps"):
        compare_studies(a, b)


def test_the_order_of_objectives_does_not_matter() -> None:
    a, b = noisy(1), noisy(2, factor=1.3)
    turned = replace(
        b,
        objectives=b.objectives[::-1],
        trials=tuple(replace(t, values=t.values[::-1]) for t in b.trials),
    )
    one, two = compare_studies(a, b), compare_studies(a, turned)
    assert [p.values_b for p in one.pairs] == [pytest.approx(p.values_b) for p in two.pairs]
    assert one.overall["art_ms"].ratio.value == pytest.approx(two.overall["art_ms"].ratio.value)
    assert one.scopes[0].hypervolume == two.scopes[0].hypervolume


def added(record: StudyRecord, parameter: Parameter, values: Mapping[int, object]) -> StudyRecord:
    """The study with one more parameter, at these values in turn."""
    trials = tuple(
        replace(
            t,
            configuration=Configuration.of(
                {**t.configuration, parameter.name: values[t.number % len(values)]}  # type: ignore[dict-item]
            ),
        )
        for t in record.trials
    )
    space = SearchSpace((*record.search_space.parameters, parameter))
    return replace(record, search_space=space, trials=trials)


def test_only_the_common_part_of_search_spaces_is_compared() -> None:
    a = noisy(1, repeats=1)
    narrow = replace(SPACE["cpu"], choices=(0.5, 1.0))
    space = SearchSpace(tuple(narrow if p.name == "cpu" else p for p in SPACE))
    b = replace(noisy(2, repeats=1, space=space), search_space=space)
    found = compare_studies(a, b)
    assert (found.a.configurations, found.a.common) == (32, 16)
    assert (found.b.configurations, found.b.common) == (16, 16)
    assert len(found.pairs) == 16
    assert found.scopes[0].a.measured == 16
    assert [d.matters for d in found.differences if d.key == "parameter cpu"] == [False]


def test_a_parameter_that_one_lacks_must_have_what_the_other_always_has() -> None:
    b = noisy(2, repeats=1)
    delay = Parameter("delay", "float", "scenario", 0.0, choices=(0.0, 10.0))
    found = compare_studies(added(noisy(1, repeats=1), delay, {0: 0.0, 1: 10.0}), b)
    assert found.a.common == 16
    assert not any("delay" in pair.configuration for pair in found.pairs)
    assert [d.b for d in found.differences if d.key == "parameter delay"] == ["-"]
    threads = Parameter("threads", "int", "decision", 1, choices=(1, 2), flag="threads")
    wide = added(noisy(1, repeats=1), threads, {0: 1, 1: 2})
    assert compare_studies(wide, b).a.common == 0
    fixed = replace(b, serving={"flags": {"threads": "2"}})
    assert compare_studies(wide, fixed).a.common == 16
    switch = Parameter("switch", "categorical", "decision", False, choices=(False, True), env="S")
    on = replace(b, serving={"env": {"S": "true"}})
    assert compare_studies(added(noisy(1, repeats=1), switch, {0: True}), on).a.common == 32


def test_what_serves_in_one_only_is_told_and_has_no_ratio() -> None:
    a = study(burst(0, 1.0, 10.0, cpu=0.25), burst(1, 2.0, 5.0))
    b = study(lost(0, {"cpu": 0.25}), burst(1, 2.1, 5.0))
    found = compare_studies(a, b)
    assert [(o.serves, o.reason) for o in found.one_sided] == [("A", "out of memory")]
    assert len(found.pairs) == 1
    assert found.overall["art_ms"].count == 1


def test_of_bursts_that_do_not_agree_nothing_is_tested() -> None:
    wild = [burst(100 + i, art, 10.0, cpu=0.5, replicas=4) for i, art in enumerate((4.0, 1.0, 9.0))]
    quiet = noisy(1, repeats=3)
    kept = [t for t in quiet.trials if t.configuration != wild[0].configuration]
    found = compare_studies(study(*kept, *wild), quiet)
    pair = next(p for p in found.pairs if p.configuration == wild[0].configuration)
    assert pair.unstable.startswith("its bursts differ")
    assert not pair.ratios
    assert found.overall["art_ms"].count == 31


EMPTY = study()
BASELINE = study(burst(0, 1.0, 10.0))
NOTHING = study(lost(0, {}))
ZERO = study(burst(0, 1.0, 0.0), burst(1, 2.0, 5.0, cpu=2.0))


@pytest.mark.parametrize("a", [EMPTY, BASELINE, NOTHING, ZERO])
@pytest.mark.parametrize("b", [EMPTY, BASELINE, NOTHING, ZERO, noisy(1)])
def test_whatever_is_missing_it_is_said_in_plain_data(a: StudyRecord, b: StudyRecord) -> None:
    found = compare_studies(a, b)
    data = json.loads(json.dumps(two_studies_document(found), allow_nan=False))
    assert data["format"] == 1
    assert data["scopes"][0]["scenario"] is None
    assert len(data["sentences"]) == 4
    assert all(isinstance(pair["configuration"], dict) for pair in data["pairs"])


def of_one_objective(record: StudyRecord) -> StudyRecord:
    trials = tuple(replace(t, values=t.values[:1]) for t in record.trials)
    return replace(record, objectives=record.objectives[:1], trials=trials)


def of_three(record: StudyRecord) -> StudyRecord:
    """With the throughput that a closed loop of so many connections has."""
    found = []
    for t in record.trials:
        rate = 1000 * float(t.configuration["concurrency"]) / t.values[0]
        assert t.measurement is not None
        metrics = {
            **t.measurement.metrics,
            "throughput_rps": replace(t.measurement.metrics["cpu_percent"], value=rate),
        }
        measurement = replace(t.measurement, metrics=metrics)
        found.append(replace(t, values=(*t.values, rate), measurement=measurement))
    objectives = (*record.objectives, Objective("throughput_rps", "maximize"))
    return replace(record, objectives=objectives, trials=tuple(found))


def test_one_objective_and_three() -> None:
    one = compare_studies(of_one_objective(noisy(1)), of_one_objective(noisy(2, factor=1.3)))
    assert one.overall.keys() == {"art_ms"}
    assert one.scopes[0].ahead == "A"
    three: TwoStudies = compare_studies(of_three(noisy(1)), of_three(noisy(2, factor=1.3)))
    assert three.overall["throughput_rps"].ratio.value == pytest.approx(1 / 1.3, rel=0.05)
    assert three.scopes[0].hypervolume is not None
    assert three.scopes[0].hypervolume.value < 1


def test_without_scenario_parameters_there_is_one_scope() -> None:
    space = SearchSpace(tuple(replace(p, role="decision") for p in SPACE))
    a, b = (replace(noisy(n), search_space=space) for n in (1, 2))
    found = compare_studies(a, b)
    assert len(found.scopes) == 1
    assert sentences(found)[0] == "A and B cannot be told apart."
    assert sentences(found)[-1] == "Fronts: neither clearly dominates any point of the other."


def test_configurations_with_inactive_parameters_are_the_same_where_their_values_are() -> None:
    size = Parameter(
        "size",
        "int",
        "decision",
        4,
        choices=(4, 16),
        flag="max_batch_size",
        when=Condition("batching", "==", (True,)),
    )
    batching = Parameter(
        "batching", "categorical", "decision", False, choices=(False, True), flag="enable_batching"
    )
    space = SearchSpace((*SPACE.parameters, batching, size))
    chosen: tuple[dict[str, Value], ...] = (
        {"batching": False},
        {"batching": True, "size": 4},
        {"batching": True, "size": 16},
    )
    trials = []
    for number, setting in enumerate(chosen):
        one = burst(number, 1.0 + number, 10.0)
        configuration = Configuration.of({**one.configuration, **setting})
        trials.append(replace(one, configuration=configuration))
    record = replace(study(*trials), search_space=space)
    assert [len(p.configuration) for p in compare_studies(record, record).pairs] == [4, 5, 5]
    plain = replace(study(burst(0, 1.0, 10.0)), serving={"flags": {"enable_batching": "false"}})
    found = compare_studies(record, plain)
    assert [(p.trials_a, p.trials_b) for p in found.pairs] == [((0,), (0,))]


def test_checksums_are_shortened_and_nothing_else() -> None:
    assert shortened(f"sha256:{'0123456789abcdef' * 4}") == "sha256:0123456789ab..."
    assert shortened("decision 48, 64, 128; default 256") == "decision 48, 64, 128; default 256"


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [
        ("B B A neither", "B is better in 2 of 4 scenarios, A in 1; elsewhere they cannot be told"),
        ("neither neither", "A and B cannot be told apart in any of 2 scenarios."),
        ("only-A A", "A is better in 2 of 2 scenarios."),
        ("both nothing", "Neither is better in any of 2 scenarios, each in part in 1, neither has"),
    ],
)
def test_the_verdict_counts_scenarios(ahead: str, verdict: str) -> None:
    found = compare_studies(noisy(1), noisy(2))
    whole, *_ = found.scopes
    scopes = tuple(scope_of(whole, each) for each in ahead.split())
    assert sentences(replace(found, scopes=(whole, *scopes)))[0].startswith(verdict)


def scope_of(whole: FrontScope, ahead: str) -> FrontScope:
    """A scope whose `ahead` is as asked."""
    point = replace(whole.a.front[0], beaten_by=None)
    loses = replace(point, beaten_by=point.configuration)
    fronts: dict[str, tuple[tuple[FrontPoint, ...], tuple[FrontPoint, ...]]] = {
        "A": ((point,), (loses,)),
        "B": ((loses,), (point,)),
        "both": ((loses,), (loses,)),
        "neither": ((point,), (point,)),
        "only-A": ((point,), ()),
        "nothing": ((), ()),
    }
    a, b = fronts[ahead]
    scope = replace(whole, scenario=point.configuration)
    return replace(scope, a=replace(whole.a, front=a), b=replace(whole.b, front=b))

"""What a configuration reserves is measured, modelled, priced and judged exactly."""

from __future__ import annotations

import numpy as np
import pytest

from tests.study.small import FEASIBLE, opened, run, specification
from tuner.errors import InputError
from tuner.export.pick import pick
from tuner.measure.measurement import Estimate
from tuner.model.study_model import model_of
from tuner.results.findings import find
from tuner.results.pooled import pooled
from tuner.results.wording import interval_ends
from tuner.spec.reservation import reserved
from tuner.spec.space import Configuration
from tuner.spec.study import Prices
from tuner.study.storage import study_record

CHEAPEST = (
    "objectives: [art_ms, cpu_percent]\nconstraints: [error_rate <= 0.01]",
    """objectives: [cost_per_month, art_ms]
constraints: [reserved_cores <= 1]
prices: {core_hour: 0.04, gib_hour: 0.005}""",
)
BAYES = ("sampler: tpe", "sampler: bayes")
TWELVE = ("trials: 8", "trials: 12")


def test_a_month_of_what_is_reserved() -> None:
    two = Configuration.of({"replicas": 2, "cpu": 0.5, "memory": 512})
    assert reserved(two) == {"reserved_cores": 1.0, "reserved_mib": 1024.0}
    assert reserved(two, Prices(0.04, 0.005))["cost_per_month"] == pytest.approx(730 * 0.045)
    assert reserved({"cpu": 1}) == {}


def test_every_measurement_has_it_without_any_doubt() -> None:
    trial = study_record(run(specification(FEASIBLE), more=1)).trials[0]
    assert trial.metric("reserved_cores") == Estimate(1.0, 1.0, 1.0)
    assert trial.metric("reserved_mib") == Estimate(256.0, 256.0, 256.0)
    assert trial.metric("cost_per_month") is None


def test_the_cost_needs_prices() -> None:
    with pytest.raises(InputError, match=r"constraints\[0\].*prices: {core_hour"):
        specification(("error_rate <= 0.01", "cost_per_month <= 50"))


def test_prices_may_change_in_a_study_that_has_begun() -> None:
    run(specification(CHEAPEST, FEASIBLE), more=3)
    dearer = specification(CHEAPEST, FEASIBLE, ("core_hour: 0.04", "core_hour: 0.08"))
    record = study_record(opened(dearer))
    for trial in record.trials:
        cost = reserved(trial.configuration, dearer.prices)["cost_per_month"]
        assert trial.values[0] == pytest.approx(cost)
        assert trial.metric("cost_per_month") == Estimate.exact(trial.values[0])


def test_the_model_takes_it_as_it_is_for_every_candidate() -> None:
    record = study_record(run(specification(CHEAPEST, FEASIBLE, BAYES, TWELVE)))
    model = model_of(record)
    assert model is not None
    costs = [reserved(c, record.prices)["cost_per_month"] for c in model.candidates.configurations]
    posterior = model.posterior()
    assert np.exp(posterior.mean[:, 0]) == pytest.approx(costs)
    assert posterior.sd[:, 0].max() < 1e-5
    cores = [reserved(c)["reserved_cores"] for c in model.candidates.configurations]
    assert ((posterior.feasible > 0.1) == (np.array(cores) <= 1)).all()
    assert all(p.sd[0] < 1e-5 for p in pooled(record))


def test_a_burst_ends_once_another_configuration_reserves_less_and_is_faster() -> None:
    spec = specification(CHEAPEST, FEASIBLE, ("cut_short: false", "cut_short: true"), TWELVE)
    cut = [t for t in study_record(run(spec)).trials if t.cut_short]
    assert any("cost per month" in t.cut_short or "reserved_cores" in t.cut_short for t in cut)


def test_an_exact_value_is_shown_without_an_interval() -> None:
    record = study_record(run(specification(CHEAPEST, FEASIBLE, BAYES, TWELVE)))
    findings = find(record)
    assert findings is not None
    assert "cost_per_month" not in findings.between
    best = findings.overall.predicted_front[0]
    assert interval_ends(Estimate(best.values[0], best.low[0], best.high[0])) == ""


def test_a_study_whose_only_objective_is_exact_searches_for_what_holds() -> None:
    only = (CHEAPEST[0], CHEAPEST[1].replace("[cost_per_month, art_ms]", "[cost_per_month]"))
    bound = ("reserved_cores <= 1", "art_ms <= 6")
    record = study_record(run(specification(only, bound, FEASIBLE, BAYES, TWELVE)))
    able = [t for t in record.trials if t.feasible]
    assert min(t.values[0] for t in able) < record.trials[0].values[0]


def test_a_pick_may_have_a_budget_of_what_is_reserved() -> None:
    record = study_record(run(specification(FEASIBLE)))
    (trial,) = pick(record, "min reserved_cores where art_ms <= 1000")
    least = min(reserved(t.configuration)["reserved_cores"] for t in record.trials if t.eligible)
    assert reserved(trial.configuration)["reserved_cores"] == least
    with pytest.raises(InputError) as caught:
        pick(record, "min cost_per_month")
    assert "prices: {core_hour" in caught.value.mend

from __future__ import annotations

from dataclasses import replace

from tests.results.test_service_level import P95, SPACE, at, burst, study, too_small
from tuner.measure.record import StudyRecord
from tuner.pages.service_level_words import (
    exhausted_sentence,
    nearest_miss_sentence,
    service_level_text,
)
from tuner.pages.what_to_deploy import answer_blocks
from tuner.results.findings import find
from tuner.results.summary import summarise
from tuner.spec.study import Constraint, Objective

RECORD = study(burst(0, at(0.5), 9.0), burst(1, at(0.25), 31.0), too_small(2, at(0.5, 64)))


def answer(record: StudyRecord) -> str:
    blocks = answer_blocks(record, summarise(record), find(record))
    return " ".join(getattr(block, "text", "") for block in blocks)


def test_a_study_of_costs_ends_in_one_sentence() -> None:
    assert answer(RECORD).startswith(
        "Deploy 1 replica with 0.5 cores and 128 MiB: p95 9 (8.06-10) ms at 100 requests/s, within"
        " 15 ms with probability above 0.99; 0.25 cores would miss it (p95 31 ms); 64 MiB cannot"
        " serve (out of memory)."
    )


def test_in_another_study_it_follows_what_was_optimised() -> None:
    record = replace(RECORD, objectives=(Objective("p95_ms", "minimize"),))
    values = {t.number: t.metric("p95_ms") for t in record.trials}
    trials = tuple(
        replace(t, values=(e.value,)) if (e := values[t.number]) else t for t in record.trials
    )
    said = answer(replace(record, trials=trials))
    assert said.startswith("For 100")
    assert (
        "P95 within 15 ms with probability above 0.99; 0.25 cores would miss it (p95 31 ms)" in said
    )


def test_an_error_rate_is_mentioned_where_it_is_in_doubt() -> None:
    doubtful = study(burst(0, at(0.5), 9.0, errors=0.0095))
    assert "error rate 0.0095" in service_level_text(doubtful, at(0.5))
    only = replace(RECORD, constraints=(Constraint("error_rate", "<=", 0.01),))
    assert service_level_text(only, at(0.5)) == ""


def test_a_bound_from_below_is_at_least_so_much() -> None:
    record = replace(RECORD, constraints=(Constraint("p95_ms", ">=", 5.0),))
    assert "at least 5 ms" in service_level_text(record, at(0.5))


def test_what_is_predicted_says_so() -> None:
    grid = [c for c in SPACE.grid() if c["cpu"] != 0.25]
    record = study(*(burst(n, c, 5.0 / float(c["cpu"])) for n, c in enumerate(grid)))
    said = service_level_text(record, at(0.5))
    assert "0.25 cores would miss it (p95 " in said
    assert "ms predicted)" in said


def test_where_nothing_holds_the_nearest_miss_is_named() -> None:
    record = study(burst(0, at(1.0), 40.0), burst(1, at(2.0), 18.0))
    nearest = (
        "The nearest miss is trial 1 (rate=100 cpu=2 memory=128 replicas=1): p95 18 (16.1-20.1) ms"
        f" where {P95} is asked."
    )
    assert nearest_miss_sentence(record) == nearest
    assert answer(record) == (
        f"Nothing is recommended: no feasible trial among 2 of study held. {nearest}"
    )
    assert nearest_miss_sentence(study(too_small(0, at(1.0)))) == ""


def test_a_space_that_is_exhausted_says_so() -> None:
    whole = study(*(burst(n, c, 5.0) for n, c in enumerate(SPACE.grid())))
    assert exhausted_sentence(whole).startswith("All 32 configurations of the search space were")
    assert exhausted_sentence(whole) in answer(whole)
    assert exhausted_sentence(RECORD) == ""
    hopeless = study(*(burst(n, c, 50.0) for n, c in enumerate(SPACE.grid())))
    assert exhausted_sentence(hopeless) in answer(hopeless)


def test_a_trial_that_searches_for_its_capacity_has_that_rate() -> None:
    record = replace(RECORD, objectives=(Objective("capacity_rps", "maximize"),))
    assert "p95 9 (8.06-10) ms at that rate, within 15 ms" in service_level_text(record, at(0.5))

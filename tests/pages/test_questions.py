"""Answers to a server's first questions, where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.pages.planted_trials import (
    CONCURRENCY,
    CPU,
    LOSS,
    MEMORY,
    REPLICAS,
    Truth,
    infeasible,
    sources,
    surveyed,
)
from tuner.measure.record import StudyRecord
from tuner.results.questions import Answer, answers, latency_objective
from tuner.spec.space import Parameter, SearchSpace

SPACE = SearchSpace((CONCURRENCY, CPU, REPLICAS, LOSS))


def usage(c: Mapping[str, Any]) -> float:
    return float(10 * c["cpu"] + 2 * c.get("replicas", 1))


def asked(record: StudyRecord) -> dict[str, Answer]:
    found = sources(record)
    return {a.parameter: a for a in answers(record, found.explanation, found.findings)}


def answered(art: Truth, space: SearchSpace = SPACE) -> dict[str, Answer]:
    return asked(surveyed(space, {"art_ms": art, "cpu_percent": usage}))


@pytest.fixture(scope="module")
def serving() -> dict[str, Answer]:
    """ART rises with concurrency and loss, falls with cores, is best with two replicas."""
    return answered(
        lambda c: (
            (2 + c["concurrency"]) / c["cpu"] * (1.5, 1.0, 1.4)[c["replicas"] - 1] + 20 * c["loss"]
        )
    )


def test_what_is_planted_is_answered(serving: dict[str, Answer]) -> None:
    assert all(a.settled for name, a in serving.items() if name != "memory")
    assert serving["concurrency"].text.startswith("ART rises with concurrency")
    assert serving["cpu"].text.startswith("ART falls with cpu")
    assert serving["loss"].text.startswith("ART rises with loss")


def test_the_best_number_of_containers_is_named(serving: dict[str, Answer]) -> None:
    best = serving["replicas"]
    assert best.text.startswith("On average 2 replicas: ")
    assert "ART is least at 2 replicas" in best.text
    assert "P > 0.99" in best.text
    # The price, and what is best when all objectives count.
    assert "CPU usage rises with replicas" in best.others
    assert "least worst regret" in best.others
    assert best.scenarios.startswith("Of 4 scenarios: best 2 replicas in")


def test_answers_say_what_they_rest_on(serving: dict[str, Answer]) -> None:
    assert serving["cpu"].evidence == "Evidence: 36 feasible trials at 3 values."
    assert serving["cpu"].others.startswith("CPU usage rises with cpu")


def test_scenarios_in_which_nothing_changes_are_told_apart() -> None:
    """Concurrency matters at no loss, and is drowned where packets are lost."""
    found = answered(lambda c: 1.0 + c["concurrency"] if c["loss"] == 0 else 40.0)
    text = found["concurrency"].scenarios
    assert text == ("Of 2 scenarios: surely rises in 1 (loss 0 %); no sure change in 1 (loss 1 %).")


def test_no_effect_is_an_answer() -> None:
    found = answered(lambda c: 5.0 + c["concurrency"])
    assert found["replicas"].settled
    assert found["replicas"].text.startswith("No number is better than another:")
    assert "hardly changes ART" in found["cpu"].text


def test_ends_that_differ_are_told_where_the_way_between_is_open() -> None:
    """It falls, rises and falls again: neither monotone nor best inside."""
    cpu = replace(CPU, choices=(0.25, 0.5, 1.0, 2.0))
    courses = {0.25: 10.0, 0.5: 4.0, 1.0: 6.0, 2.0: 3.0}
    found = answered(lambda c: courses[c["cpu"]], SearchSpace((CONCURRENCY, cpu, REPLICAS)))
    assert found["cpu"].settled
    assert found["cpu"].text.startswith("ART falls from end to end, 10 ms (")
    assert "not settled" in found["cpu"].text


def test_too_little_memory_is_part_of_the_answer() -> None:
    space = SearchSpace((CONCURRENCY, CPU, MEMORY))
    record = surveyed(space, {"art_ms": lambda c: 4 / c["cpu"], "cpu_percent": usage})
    killed = tuple(
        infeasible(t.number, t.configuration, "out of memory")
        if t.configuration["memory"] == 48
        else t
        for t in record.trials
    )
    found = asked(replace(record, trials=killed))["memory"]
    assert "memory hardly changes ART" in found.text
    assert "48 MiB of memory is too little" in found.text


def test_what_the_study_does_not_vary_is_said() -> None:
    one = replace(LOSS, choices=(0.0,))
    found = answered(lambda c: 4 / c["cpu"], SearchSpace((CPU, one)))
    assert found["memory"].text == (
        "This study cannot say: memory is no parameter of its search space."
    )
    assert found["loss"].text == "This study cannot say: loss has one value, 0 %."
    assert not found["loss"].settled


def test_too_few_trials_answer_nothing() -> None:
    record = surveyed(SPACE, {"art_ms": lambda _: 1.0, "cpu_percent": usage}, every=9)
    found = asked(record)
    assert {a.text for name, a in found.items() if name != "memory"} == {
        "Not known yet: too few configurations were measured."
    }
    assert not any(a.settled for a in found.values())


def test_the_rate_of_an_open_loop_stands_for_concurrency() -> None:
    rate = Parameter("rate", "float", "scenario", 10.0, choices=(10.0, 50.0), unit="requests/s")
    found = answered(lambda c: c["rate"] / c["cpu"], SearchSpace((rate, CPU, REPLICAS)))
    assert found["rate"].question == "Does ART fall or rise with rate?"
    assert found["rate"].text.startswith("ART rises with rate")


def test_questions_are_about_response_time_where_it_is_an_objective() -> None:
    assert latency_objective(("cpu_percent", "p99_ms", "art_ms")) == "art_ms"
    assert latency_objective(("cpu_percent", "p99_ms")) == "p99_ms"
    assert latency_objective(("cpu_percent",)) == "cpu_percent"


def test_one_value_measured_is_no_comparison() -> None:
    """The model would say something of values that nobody measured."""
    known = surveyed(SPACE, {"art_ms": lambda c: 4 / c["cpu"], "cpu_percent": usage})
    alone = tuple(t for t in known.trials if t.configuration["replicas"] == 1)
    found = asked(replace(known, trials=alone))["replicas"]
    assert found.text == "This study cannot say: feasible trials were measured only at 1."
    assert not found.settled

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.model.candidates import Candidates
from tuner.model.feasibility import probability_of_serving
from tuner.model.memory_floor import hopeless, with_enough_memory, with_least_memory
from tuner.model.observations import Observation
from tuner.spec.space import Configuration, Parameter, SearchSpace

MEMORIES = (48, 64, 128, 256)
SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 4, choices=(1, 4, 16)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.5, 1.0)),
        Parameter("memory", "int", "decision", 256, choices=MEMORIES),
        Parameter("replicas", "int", "decision", 1, choices=(1, 4)),
    )
)
BATCHED = SearchSpace(
    (*SPACE, Parameter("batch", "int", "decision", 1, choices=(1, 64), flag="batch"))
)
ALL = Candidates.of(SPACE)


def at(memory: int, concurrency: int = 4, replicas: int = 1, **others: int) -> Configuration:
    values = {"concurrency": concurrency, "cpu": 1.0, "memory": memory, "replicas": replicas}
    return Configuration.of({**values, **others})


def killed(configuration: Configuration, *, started: bool = True) -> Observation:
    return Observation(0, configuration, None, started=started, out_of_memory=True)


def measured(configuration: Configuration, working_set: float | None = None) -> Observation:
    return Observation(0, configuration, (1.0,), working_set_mib=working_set)


def test_two_kills_rule_out_less_memory_with_more_load_and_nothing_else() -> None:
    once = [killed(at(64))]
    assert not hopeless(ALL, once).any()
    twice = [*once, killed(replace_cpu(at(64)))]
    for configuration, no_hope in zip(ALL.configurations, hopeless(ALL, twice), strict=True):
        held = -(-int(configuration["concurrency"]) // int(configuration["replicas"]))
        assert no_hope == (int(configuration["memory"]) <= 64 and held >= 4), configuration


def replace_cpu(configuration: Configuration) -> Configuration:
    return Configuration.of({**configuration, "cpu": 0.5})


def test_what_never_came_up_is_ruled_out_for_every_load() -> None:
    seen = [killed(at(48, 16), started=False), killed(at(48, 4), started=False)]
    no_hope = hopeless(ALL, seen)
    assert [c["memory"] for c in ALL.configurations if no_hope[ALL.index(c)]] == [48] * 12


def test_a_success_with_no_more_memory_speaks_against_it() -> None:
    seen = [killed(at(64)), killed(at(64)), measured(at(64))]
    no_hope = hopeless(ALL, seen)
    assert not no_hope[ALL.index(at(64))]
    assert no_hope[ALL.index(at(64, 16))], "that held fewer requests"


def test_another_decision_may_help() -> None:
    candidates = Candidates.of(BATCHED)
    seen = [killed(at(64, batch=64)), killed(at(64, batch=64))]
    no_hope = hopeless(candidates, seen)
    assert no_hope[candidates.index(at(64, batch=64))]
    assert not no_hope[candidates.index(at(64, batch=1))]


def test_failures_of_another_kind_rule_nothing_out() -> None:
    failed = Observation(0, at(48), None)
    assert not hopeless(ALL, [failed] * 3).any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ALL.configurations), st.booleans()), max_size=8))
def test_what_is_hopeless_stays_so_with_less_memory_or_more_load(
    outcomes: list[tuple[Configuration, bool]],
) -> None:
    seen = [killed(c) if is_killed else measured(c) for c, is_killed in outcomes]
    kills = [o for o in seen if o.out_of_memory]
    no_hope = dict(zip(ALL.configurations, hopeless(ALL, kills), strict=True))
    for c, hopeless_there in no_hope.items():
        if hopeless_there:
            assert no_hope[Configuration.of({**c, "memory": 48})]
            assert no_hope[Configuration.of({**c, "concurrency": 16})]
    with_successes = hopeless(ALL, seen)
    assert not (with_successes & ~np.array([*no_hope.values()])).any()


@pytest.mark.parametrize("used", [72.0, 90.0])
def test_a_working_set_makes_memory_clearly_below_it_improbable(used: float) -> None:
    def chance(memory: int, working_set: float | None) -> float:
        seen = [measured(at(256), working_set)]
        return float(probability_of_serving(ALL, seen)[ALL.index(at(memory))])

    assert chance(48, used) < 0.15
    assert chance(48, None) > 0.5
    assert chance(128, used) > 0.9
    assert chance(256, used) > 0.95


def test_a_replica_that_used_all_it_had_says_nothing_of_what_it_needs() -> None:
    full, unknown = measured(at(64), 63.9), measured(at(64))
    assert np.array_equal(
        probability_of_serving(ALL, [full]), probability_of_serving(ALL, [unknown])
    )


def test_a_start_with_improbable_memory_has_the_least_that_is_not() -> None:
    baseline = measured(at(256), 70)
    assert with_enough_memory(SPACE, [], at(48)) == at(48)
    assert with_enough_memory(SPACE, [baseline], at(48)) == at(64)
    assert with_enough_memory(SPACE, [baseline], at(256)) == at(256)
    ended = [baseline, killed(at(64)), killed(at(64))]
    assert with_enough_memory(SPACE, ended, at(48)) == at(128)
    assert with_enough_memory(SPACE, ended, at(48, 16)) == at(128, 16)
    no_memory = SearchSpace(tuple(p for p in SPACE if p.name != "memory"))
    assert with_enough_memory(no_memory, ended, no_memory.baseline()) == no_memory.baseline()


def test_the_least_memory_that_surely_suffices() -> None:
    seen = [measured(at(256), 70), measured(at(128), 70)]
    assert with_least_memory(SPACE, seen, at(48), 0.9) == at(128)
    assert with_least_memory(SPACE, seen, at(48), 0.4) == at(64)
    assert with_least_memory(SPACE, seen, at(256), 0.9) == at(256)
    assert with_least_memory(SPACE, [], at(48), 0.9) is None, "nothing is sure yet"
    assert with_least_memory(SPACE, [killed(at(256))] * 2, at(48), 0.9) is None


def test_where_nothing_is_enough_a_start_stays_as_it_is() -> None:
    ended = [killed(at(256)), killed(at(256))]
    assert with_enough_memory(SPACE, ended, at(48)) == at(48)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(MEMORIES),
            st.sampled_from((1, 4, 16)),
            st.sampled_from((1, 4)),
            st.sampled_from(("killed", "never up", "served")),
        ),
        max_size=12,
    )
)
@settings(deadline=None)
def test_trials_that_say_the_same_are_counted_as_if_one_by_one(
    outcomes: list[tuple[int, int, int, str]],
) -> None:
    seen = [
        measured(at(*where)) if end == "served" else killed(at(*where), started=end == "killed")
        for *where, end in outcomes
    ]
    no_hope = hopeless(ALL, seen)
    for row, configuration in enumerate(ALL.configurations):
        memory, load = needs(configuration)
        kills = contradictions = 0
        for observation in seen:
            had, held = needs(observation.configuration)
            if observation.out_of_memory:
                kills += had >= memory and (held if observation.started else 0) <= load
            else:
                contradictions += had <= memory and held >= load
        assert no_hope[row] == (kills >= 2 and not contradictions), configuration


def needs(configuration: Configuration) -> tuple[int, int]:
    """Memory, and requests held at once by a replica."""
    return int(configuration["memory"]), -(
        -int(configuration["concurrency"]) // int(configuration["replicas"])
    )

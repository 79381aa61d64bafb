"""Memory that cannot be enough is not tried again and again."""

from __future__ import annotations

from tests.study.small import run, specification
from tuner.measure.record import TrialRecord
from tuner.study.storage import records

NEVER = (
    ("choices: [1, 4]", "choices: [1, 4, 16]"),
    ("choices: [0.25, 0.5, 1]", "choices: [0.25, 0.5, 1, 2]"),
    ("choices: [8, 64, 256]", "choices: [48, 64, 128, 256, 512]"),
    ("low: 1, high: 2", "choices: [1, 2, 3, 4]"),
    ("choices: [0]", "choices: [0, 1, 5]"),
    ("error_rate <= 0.01", "art_ms <= 0.001"),
    ("trials: 8", "trials: 15"),
    ("sampler: tpe, cut_short: false, confirm: 0", "sampler: bayes"),
)
"""A study none of whose trials holds the constraint: 48 MiB was tried seven times in it."""


def at_memory(trials: list[TrialRecord], memory: int) -> list[int]:
    return [t.number for t in trials if t.configuration["memory"] == memory]


def test_two_kills_at_a_memory_are_enough_where_nothing_else_can_help() -> None:
    trials = records(run(specification(*NEVER)))
    assert len(trials) == 15
    assert len(at_memory(trials, 48)) <= 2
    assert sum(t.outcome == "infeasible" for t in trials) <= 4


def test_the_first_deployment_says_what_memory_is_too_little_for_the_start() -> None:
    trials = records(run(specification(*NEVER, ("trials: 15", "trials: 42"))))
    assert trials[0].working_set_mib == 72
    assert not at_memory(trials[:14], 48)
    assert {t.configuration["memory"] for t in trials[:14]} >= {64, 128, 256, 512}


def test_a_study_ends_where_only_too_little_memory_is_left() -> None:
    spec = specification(
        ("trials: 8", "trials: 100"),
        ("choices: [8, 64, 256]", "choices: [8, 256]"),
        ("choices: [0.25, 0.5, 1]", "choices: [1]"),
        ("sampler: tpe, cut_short: false, confirm: 0", "sampler: bayes, confirm: 0"),
        name="ends",
    )
    trials = records(run(spec))
    assert len(at_memory(trials, 256)) == 4
    assert len(at_memory(trials, 8)) <= 2
    assert len(records(run(spec))) == len(trials), "a resumed run finds nothing to do"

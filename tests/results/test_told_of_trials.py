from __future__ import annotations

from dataclasses import replace

from tests.export.small import LIMIT, infeasible, study, trial
from tuner.measure.measurement import Finding
from tuner.results.told import measurement_doubts, trial_doubts, why_proposed

ONE = trial(1, 10.0, 40.0)


def test_why_a_trial_was_proposed_and_what_was_predicted_of_it() -> None:
    why = {
        "reason": "tells most about loss=1",
        "mean": [9.5, 0.0],
        "sd": [0.05, 0.2],
        "feasible": 0.875,
        "acquisition": 0.0021,
    }
    proposed, predicted = why_proposed(study(ONE), replace(ONE, why=why))
    assert proposed == "Why it was proposed: tells most about loss=1."
    assert predicted == (
        "Predicted then, with 95 % intervals: ART (ms) 9.5 (8.61-10.5), CPU usage (% of host) 0;"
        " P(feasible) 0.88; acquisition 0.0021"
    )
    assert list(why_proposed(study(ONE), ONE)) == []


def test_what_the_search_saved_on_a_trial() -> None:
    assert ONE.measurement is not None
    saved = replace(
        ONE,
        deployment={"stayed": True, "since": "0007"},
        cut_short="trial 0 is surely better",
        measurement=replace(ONE.measurement, saved_seconds=1.25),
    )
    assert list(why_proposed(study(ONE), saved)) == [
        "It stayed on the deployment of trial 7: nothing was deployed for it.",
        "Cut short, so on no front: trial 0 is surely better (saved up to 1.2 s)",
    ]
    elsewhere = replace(ONE, deployment={"stayed": True, "since": "by hand"})
    (said,) = why_proposed(study(ONE), elsewhere)
    assert "of an earlier trial" in said
    (said,) = why_proposed(study(ONE), replace(infeasible(4), same_as=3))
    assert said == "It was not tried: its deployment is that of trial 3."


def test_reasons_to_doubt_a_measurement_come_with_their_remedies() -> None:
    assert ONE.measurement is not None
    failed = replace(ONE.measurement, errors={"TIMEOUT": 3, "RESET": 1})
    assert list(measurement_doubts(failed)) == [
        "WARN: few requests. measure longer",
        "Requests that did not succeed: 3 TIMEOUT, 1 RESET",
    ]
    assert list(measurement_doubts(replace(failed, findings=(), errors={}))) == []


def test_what_else_to_be_careful_with() -> None:
    assert list(trial_doubts(study(ONE), ONE)) == []
    twice = replace(
        ONE,
        attempts=2,
        outcome="invalid",
        discarded=(Finding("INVALID", "others were busy", "Wait."),),
        violations={str(LIMIT): 20.0},
    )
    assert list(trial_doubts(study(ONE), twice)) == [
        "It was measured twice; the first time did not count: INVALID: others were busy",
        "INVALID both times, so it was told as failed and is on no front.",
        f"Constraint broken: {LIMIT} (by 20)",
    ]
    # What could not serve has only stand-ins to break a constraint with.
    assert list(trial_doubts(study(ONE), replace(infeasible(4), violations={"x": 1.0}))) == []

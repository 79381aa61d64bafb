from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.verify.exported import study_of
from tuner.errors import Infeasible
from tuner.export.provenance import provenance
from tuner.measure.measurement import Estimate, Finding, Measurement
from tuner.spec.study import Constraint
from tuner.trial import TrialResult
from tuner.verify.differences import FileDifference
from tuner.verify.prediction import Prediction
from tuner.verify.result import Verified

INVALID = Finding("INVALID", "the host was busy", "stop what else runs")
OOM = TrialResult({}, infeasible=Infeasible("out of memory", "replica 0 was killed"))


def result(art: float, cpu: float = 20.0, *findings: Finding) -> TrialResult:
    metrics = {"art_ms": Estimate(art, art * 0.98, art * 1.02), "cpu_percent": Estimate(cpu)}
    return TrialResult({"burst": 1.0}, Measurement(metrics, findings, 100, 10, 1.0, "precise", {}))


def verified(*results: TrialResult) -> Verified:
    """Of a file of which 10 ms (some percent more or less) and 20 % are predicted."""
    study = study_of()
    return Verified(
        study="up",
        file="compose.yaml",
        backend="docker",
        provenance=provenance(study, study.trials[0]),
        environment={"host": {"cpus": 2}},
        predictions={
            "art_ms": Prediction("art_ms", 10.0, 0.02, 0.02, 2.3, "model"),
            "cpu_percent": Prediction("cpu_percent", 20.0, 0.02, 0.02, 2.3, "model"),
        },
        results=results,
    )


def test_values_inside_are_as_predicted() -> None:
    found = verified(result(10.2))
    assert found.verdict == "as predicted"
    assert [j.inside for j in found.judged] == [True, True]
    assert found.judged[0].difference_percent == pytest.approx(2.0)


@pytest.mark.parametrize(("art", "cpu"), [(13.0, 20.0), (7.0, 20.0), (10.0, 30.0)])
def test_one_value_outside_is_enough(art: float, cpu: float) -> None:
    found = verified(result(art, cpu))
    assert found.verdict == "not as predicted"
    assert sum(j.inside for j in found.judged) == 1


def test_several_bursts_are_judged_together() -> None:
    # One alone is outside; both together are not.
    assert verified(result(11.0)).judged[0].inside is False
    found = verified(result(11.0), result(9.2))
    assert found.verdict == "as predicted"
    assert len(found.judged) == 2


def test_what_cannot_be_trusted_says_nothing() -> None:
    found = verified(result(50.0, 20.0, INVALID))
    assert found.judged == ()
    assert found.verdict == "cannot say"
    assert verified(result(50.0, 20.0, INVALID), result(10.0)).verdict == "as predicted"


def test_an_objective_that_was_not_measured_leaves_it_open() -> None:
    measured = result(10.0).measurement
    assert measured is not None
    alone = replace(measured, metrics={"art_ms": measured.metrics["art_ms"]})
    assert verified(replace(result(10.0), measurement=alone)).verdict == "cannot say"
    late = {"art_ms": Estimate(50.0)}
    late_alone = replace(measured, metrics=late)
    assert verified(replace(result(10.0), measurement=late_alone)).verdict == "not as predicted"


def test_what_cannot_serve_is_not_as_predicted() -> None:
    assert verified(OOM).verdict == "not as predicted"
    assert verified(result(10.0), OOM).verdict == "not as predicted"


def test_a_difference_is_told_whatever_the_values_say() -> None:
    different = (FileDifference("cpu", "0.5 cores", "2 cores"),)
    for found in (verified(result(10.0)), verified(result(10.0, 20.0, INVALID)), verified()):
        assert replace(found, differences=different).verdict == "not as predicted"


def test_what_broke_for_another_reason_leaves_it_open() -> None:
    broken = replace(verified(result(10.0)), broken="the engine refused a step")
    assert broken.verdict == "cannot say"
    outside = replace(verified(result(50.0)), broken="the engine refused a step")
    assert outside.verdict == "not as predicted"


def test_all_of_it_is_one_json_document() -> None:
    found = replace(
        verified(result(10.2), OOM), differences=(FileDifference("cpu", "0.5 cores", "2 cores"),)
    )
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["verdict"] == "not as predicted"
    assert document["trial"] == 0
    assert document["configuration"]["cpu"] == 0.5
    assert document["objectives"]["art_ms"]["inside"] is True
    assert document["objectives"]["art_ms"]["predicted"]["value"] == 10.0
    assert document["differences"] == [{"what": "cpu", "measured": "0.5 cores", "found": "2 cores"}]
    assert document["bursts"][0]["measurement"]["verdict"] == "VALID"
    assert document["bursts"][1]["infeasible"]["kind"] == "out of memory"


SLO = Constraint("art_ms", "<=", 15.0)
FAST = Constraint("art_ms", "<=", 10.1)
WORK = Constraint("cpu_percent", ">=", 25.0)


@pytest.mark.parametrize(
    ("constraint", "verdict", "close"),
    [(SLO, "holds", False), (FAST, "fails", True), (WORK, "fails", False)],
)
def test_a_constraint_is_judged_by_what_was_measured_whatever_was_predicted(
    constraint: Constraint, verdict: str, close: bool
) -> None:
    found = replace(verified(result(10.2)), constraints=(constraint,))
    assert found.verdict == "as predicted"
    (judged,) = found.judged_constraints
    assert (judged.verdict, judged.close) == (verdict, close)


def test_bursts_hold_a_constraint_together() -> None:
    found = replace(verified(result(10.4), result(9.6)), constraints=(FAST,))
    (judged,) = found.judged_constraints
    assert judged.verdict == "holds"
    assert judged.measured is not None
    assert judged.measured.value == pytest.approx(9.992, abs=0.001)


def test_without_a_trusted_value_a_constraint_is_open() -> None:
    for found in (verified(result(50.0, 20.0, INVALID)), verified(OOM), verified()):
        (judged,) = replace(found, constraints=(SLO,)).judged_constraints
        assert judged.verdict == "cannot say"
        assert judged.measured is None


def test_the_json_document_has_every_constraint() -> None:
    found = replace(verified(result(10.2)), constraints=(SLO, WORK))
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    held, fails = (
        document["constraints"]["art_ms <= 15"],
        document["constraints"]["cpu_percent >= 25"],
    )
    assert (held["verdict"], fails["verdict"]) == ("holds", "fails")
    assert held["measured"]["high"] < held["bound"] == 15
    assert document["verdict"] == "as predicted"

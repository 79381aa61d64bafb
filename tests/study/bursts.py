"""Records of trials with given values, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.spec.space import Configuration, Parameter, SearchSpace, Value
from tuner.spec.study import Objective

SPACE = SearchSpace(
    (
        Parameter("concurrency", "int", "scenario", 1, choices=(1, 4)),
        Parameter("cpu", "float", "decision", 1.0, choices=(0.25, 0.5, 1.0, 2.0)),
        Parameter("replicas", "int", "decision", 1, choices=(1, 2, 3, 4)),
    )
)
OBJECTIVES = (Objective("art_ms", "minimize"), Objective("cpu_percent", "minimize"))


def burst(
    number: int, art: float, usage: float, violation: float = -1.0, **configuration: Value
) -> TrialRecord:
    """ART is known to 2 % (95 %), CPU usage has no interval."""
    return TrialRecord(
        number=number,
        configuration=Configuration.of({**SPACE.baseline(), **configuration}),
        outcome="measured",
        values=(art, usage),
        violations={"error_rate <= 0.01": violation, "serves": -1.0},
        phases={"deploy": 1.0, "burst": 1.0},
        started="2025-01-01T00:00:00+00:00",
        measurement=Measurement(
            metrics={
                "art_ms": Estimate(art, art * 0.98, art * 1.02),
                "cpu_percent": Estimate(usage),
            },
            findings=(),
            requests=500,
            warmup_requests=10,
            window_seconds=2.0,
            stop_reason="precise",
            errors={},
        ),
    )


def lost(number: int, configuration: Mapping[str, Value]) -> TrialRecord:
    return TrialRecord(
        number=number,
        configuration=Configuration.of({**SPACE.baseline(), **configuration}),
        outcome="infeasible",
        values=(1000.0, 1000.0),
        violations={"serves": 1.0},
        phases={"deploy": 1.0},
        started="2025-01-01T00:00:00+00:00",
        reason="out of memory",
        imputed=True,
    )


def study(*trials: TrialRecord) -> StudyRecord:
    return StudyRecord("small", "mnist", SPACE, OBJECTIVES, (), {}, {}, trials)

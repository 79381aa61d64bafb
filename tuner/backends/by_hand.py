"""One configuration, measured by hand: again and again, or at one level of load after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tuner.backends.backend import Backend
from tuner.measure.calibration import Calibration
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.statistics import mean
from tuner.spec.space import Configuration
from tuner.spec.study import Stage, StudySpec
from tuner.trial import (
    Observe,
    TrialResult,
    deployment_spec,
    load_profile,
    measured,
    network_spec,
    run_trial,
)

# History of the format of `Repeats.to_json`: 1 (first).
FORMAT = 1


@dataclass(frozen=True)
class Repeats:
    """What was found when one configuration was deployed and measured several times."""

    spec: StudySpec
    configuration: Configuration
    environment: Mapping[str, Any]
    calibration: Calibration | None
    results: tuple[TrialResult, ...]

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(r.measurement for r in self.results if r.measurement is not None)

    @property
    def together(self) -> Mapping[str, Estimate]:
        """Each metric's mean over the repeats that have it, with Student's t interval.

        One repeat keeps the interval of its burst, which does not hold what differs between
        deployments.
        """
        some = self.measurements
        if len(some) == 1:
            return some[0].metrics
        names = dict.fromkeys(name for m in some for name in m.metrics)
        return {n: mean([m.metrics[n].value for m in some if n in m.metrics]) for n in names}

    def to_json(self) -> dict[str, Any]:
        """Everything that is known, as JSON-able data."""
        return {
            "format": FORMAT,
            "model": self.spec.model.name,
            "configuration": dict(self.configuration),
            "load": asdict(self.spec.load),
            "serving": asdict(self.spec.serving),
            "environment": dict(self.environment),
            "calibration": self.calibration and asdict(self.calibration),
            "together": {name: asdict(e) for name, e in self.together.items()},
            "repeats": [_result(r) for r in self.results],
        }


def repeated(
    spec: StudySpec,
    configuration: Configuration,
    backend: Backend,
    times: int,
    observe: Observe,
    each: Callable[[int, TrialResult], None],
) -> Repeats:
    """Deploy and measure `configuration` `times` times; `each` is told every result.

    Every time everything is new: containers, connections, burst. Raises TrialFailed when one of
    them breaks for a reason that is not the configuration's.
    """
    with backend.deployer as deployer:
        observe("calibrate")
        calibration = backend.calibrate(deployer)
        results = []
        for number in range(times):
            result = run_trial(
                spec,
                configuration,
                *(deployer, backend.connect, f"measure-{number}", calibration, observe),
            )
            results.append(result)
            each(number, result)
        return Repeats(spec, configuration, deployer.environment(), calibration, tuple(results))


def explored(
    spec: StudySpec,
    configuration: Configuration,
    backend: Backend,
    stages: Sequence[Stage],
    observe: Observe,
) -> tuple[Measurement, ...]:
    """Deploy `configuration` once and measure it at each stage's level of load, in one burst.

    The level is the concurrency of a closed loop, the rate of an open one. Stages are of fixed
    length, so intervals may be wide. Raises Infeasible or TrialFailed.
    """
    profile = load_profile(spec, configuration)
    highest = max(level for stage in stages for level in (stage.start, stage.end))
    if profile.rate_rps is None:
        profile = replace(profile, concurrency=math.ceil(highest))
    with backend.deployer as deployer:
        observe("calibrate")
        calibration = backend.calibrate(deployer)
        observe("deploy")
        with (
            deployer.deploy(deployment_spec(spec, configuration), "explore") as deployment,
            backend.connect(deployment, profile) as client,
            deployment.impair(network_spec(configuration)) as impairment,
        ):
            bursts = client.explore(stages, observe)
            deployment.verify()
            drops = impairment.drops()
            cpus = deployment.host_cpus
    return tuple(measured(spec, burst, cpus, drops, calibration) for burst in bursts)


def _result(result: TrialResult) -> dict[str, Any]:
    found = result.infeasible
    return {
        "seconds": dict(result.phases),
        "measurement": result.measurement
        and asdict(result.measurement) | {"verdict": result.measurement.verdict},
        "infeasible": found and {"kind": found.kind, "message": found.message},
        "deployment": dict(result.deployment),
        "network": dict(result.impairment),
    }

"""One configuration, measured by hand: again and again, or at one level of load after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tuner.backends.backend import Backend
from tuner.interrupts import ended_whole
from tuner.measure.calibration import Calibration
from tuner.measure.capacity import Capacity
from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.statistics import mean
from tuner.spec.space import Configuration
from tuner.spec.study import Stage, StudySpec
from tuner.trial import Observe, TrialRequest, TrialResult

# History of the format of `Repeats.to_json`: 1 (first).
FORMAT = 1


@dataclass(frozen=True)
class Repeats:
    """What came of one configuration that was deployed and measured several times."""

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

        One repeat alone keeps the interval of its burst, which leaves out how far deployments
        differ.
        """
        repeats = self.measurements
        if len(repeats) == 1:
            return repeats[0].metrics
        names = dict.fromkeys(name for m in repeats for name in m.metrics)
        return {n: mean([m.metrics[n].value for m in repeats if n in m.metrics]) for n in names}

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
            "repeats": [r.to_json() for r in self.results],
        }


def repeated(
    backend: Backend,
    configuration: Configuration,
    times: int,
    observe: Observe,
    each: Callable[[int, TrialResult], None],
) -> Repeats:
    """Deploy and measure `configuration` `times` times; `each` is told every result.

    Every time everything is new: containers, connections, burst. Raises TrialFailed when one of
    them breaks for a reason that is not the configuration's.
    """
    with ended_whole(backend):
        observe("calibrate")
        calibration = backend.calibrate()
        results = []
        for number in range(times):
            request = TrialRequest(configuration, f"measure-{number}", fresh=True, observe=observe)
            result = backend.run_trial(request)
            results.append(result)
            each(number, result)
        environment = backend.environment()
    return Repeats(backend.study, configuration, environment, calibration, tuple(results))


def at_each(
    backend: Backend,
    configurations: Mapping[int, Configuration],
    observe: Observe,
    each: Callable[[int, TrialResult], None],
) -> Mapping[int, TrialResult]:
    """Measure the configurations one after the other; `each` is told every result with its key."""
    results = {}
    with ended_whole(backend):
        observe("calibrate")
        backend.calibrate()
        for key, configuration in configurations.items():
            request = TrialRequest(configuration, f"measure-{key}", observe=observe)
            results[key] = backend.run_trial(request)
            each(key, results[key])
    return results


def capacity_of(backend: Backend, configuration: Configuration, observe: Observe) -> Capacity:
    """The highest rate that `configuration` holds; see `Backend.run_capacity`."""
    with ended_whole(backend):
        observe("calibrate")
        backend.calibrate()
        request = TrialRequest(configuration, "capacity", fresh=True, observe=observe)
        return backend.run_capacity(request)


def explored(
    backend: Backend, configuration: Configuration, stages: Sequence[Stage], observe: Observe
) -> tuple[Measurement, ...]:
    """Measure `configuration` at each stage's level of load; see `Backend.run_stages`."""
    with ended_whole(backend):
        observe("calibrate")
        backend.calibrate()
        request = TrialRequest(configuration, "explore", fresh=True, observe=observe)
        return backend.run_stages(request, stages)

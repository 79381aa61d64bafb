"""The contract of a backend, and what every backend that deploys has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

from tuner.deploy.protocol import Deployer
from tuner.deploy.reuse import ReusingDeployer
from tuner.errors import InputError
from tuner.measure.calibration import Calibration
from tuner.measure.measurement import Measurement
from tuner.measure.record import StudyRecord
from tuner.spec.study import Stage, StudySpec
from tuner.trial import Connect, Rig, TrialRequest, TrialResult, run_stages, run_trial


class Backend(Protocol):
    """Who runs the trials of one study: containers, a computed host, a recorded grid.

    A backend is made for one study, `study`; `name` is what records and databases say of it. It is
    a context manager: entering it prepares what all trials share (an
    image, a connection, the sweep of dead runs), leaving it removes whatever is still there, also
    after an exception or an interrupt. All other methods are called inside, by one thread, one at
    a time and in this order: `environment`, `calibrate` at most once, then any number of trials.

    Those that deploy are a `DeployingBackend`: they need a `Deployer` and a `Connect`, and no class
    of their own. Another kind subclasses this one: `name`, `study`, `environment` and `run_trial`
    have no default. Either is added to `tuner.backends.BACKENDS`.
    """

    name: str
    study: StudySpec

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing was prepared, so nothing is removed."""
        return

    def environment(self) -> Mapping[str, Any]:
        """What all trials of this run share: host, engine, image, model. JSON-able.

        `host` is a mapping with at least `cpus`, the number of CPUs that serve, to which
        `cpu_percent` relates; `backend` is the name. Whatever is not real says so here.
        """
        ...

    def calibrate(self) -> Calibration | None:
        """Measure the load engine on the path that requests take; None where there is none.

        Later trials judge their measurements by it.
        """
        return None

    def run_trial(self, request: TrialRequest) -> TrialResult:
        """Measure one configuration; an infeasible one is a result (`TrialResult.infeasible`).

        Seconds of each phase are in `phases`: `deploy` is what it took to bring the deployment up,
        0 where one was reused. A `fresh` request gets a deployment of its own. Metrics are in the
        units of `tuner.spec.metrics`, times in ms. Raises TrialFailed where the trial broke for a
        reason that is not the configuration's: the study goes on, and the configuration is tried
        again. Any other exception ends the run.
        """
        ...

    def run_stages(
        self,
        request: TrialRequest,  # noqa: ARG002 -- see the message
        stages: Sequence[Stage],  # noqa: ARG002
    ) -> tuple[Measurement, ...]:
        """Measure a configuration at one level of load after another, as `tuner.trial.run_stages`.

        Raises Infeasible or TrialFailed, and InputError where this backend cannot do that.
        """
        raise InputError(
            f"backend {self.name} takes no requests of levels of load", "use another --backend"
        )


@dataclass(frozen=True)
class BackendOptions:
    """What a backend may be told beside its study.

    `recorded` is the file of a recorded grid, for the backend that serves one. `so_far` are the
    trials that the study has already, of a run that is resumed.
    """

    recorded: Path | None = None
    so_far: StudyRecord | None = None


NO_OPTIONS = BackendOptions()


class MakeBackend(Protocol):
    """Makes a backend for a study.

    Raises InputError for a study that it cannot measure, SetupError where something is missing
    here. Nothing is deployed until the backend is entered.
    """

    def __call__(self, study: StudySpec, options: BackendOptions = ..., /) -> Backend: ...


@dataclass
class DeployingBackend(Backend):
    """A backend that deploys and sends: each trial is `tuner.trial.run_trial`.

    `connect` opens the connections of one burst. `calibrator` measures the load engine on the path
    that requests to a deployment of the entered `deployer` take. Where the study says so (`stay`),
    a deployment is reused by the next trial that asks for the same one.
    """

    name: str
    study: StudySpec
    deployer: Deployer
    connect: Connect
    calibrator: Callable[[Deployer], Calibration | None] = lambda _: None
    _calibration: Calibration | None = field(default=None, init=False)
    _reuse: ReusingDeployer | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.study.search.stay:
            asked = {o.metric for o in self.study.objectives}
            asked |= {c.metric for c in self.study.constraints}
            needs_peak = "memory_peak_mib" in asked
            self._reuse = ReusingDeployer(self.deployer, needs_peak=needs_peak)

    @property
    def rig(self) -> Rig:
        """The deployer itself, which reuses nothing, what sends, and the last calibration."""
        return Rig(self.deployer, self.connect, self._calibration)

    def __enter__(self) -> Self:
        (self._reuse or self.deployer).__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        (self._reuse or self.deployer).__exit__(*exc)

    def environment(self) -> Mapping[str, Any]:
        return self.deployer.environment()

    def calibrate(self) -> Calibration | None:
        self._calibration = self.calibrator(self.deployer)
        return self._calibration

    def run_trial(self, request: TrialRequest) -> TrialResult:
        if self._reuse is None:
            return run_trial(self.study, request, self.rig)
        if request.fresh:
            self._reuse.deploy_anew()
        result = run_trial(self.study, request, replace(self.rig, deployer=self._reuse))
        return replace(result, deployment={**result.deployment, **self._reuse.facts})

    def run_stages(self, request: TrialRequest, stages: Sequence[Stage]) -> tuple[Measurement, ...]:
        return run_stages(self.study, request, self.rig, stages)


@dataclass(frozen=True)
class Attempts:
    """What came of a trial: the result that counts, and the INVALID one before it, if any."""

    result: TrialResult
    discarded: TrialResult | None = None


def run_until_valid(
    backend: Backend,
    request: TrialRequest,
    on_invalid: Callable[[TrialResult], None] = lambda _: None,
) -> Attempts:
    """Run a trial, and once more on a deployment of its own where it cannot be trusted.

    `on_invalid` is told the first result before the second attempt, which may be INVALID too.
    Raises as `Backend.run_trial`.
    """
    first = backend.run_trial(request)
    if not first.invalid:
        return Attempts(first)
    on_invalid(first)
    return Attempts(backend.run_trial(replace(request, fresh=True)), first)

"""The contract of a backend, and what every backend that deploys has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

from tuner.backends.sender_place import SenderPlace
from tuner.deploy.protocol import Deployer
from tuner.deploy.reuse import ReusingDeployer
from tuner.errors import InputError
from tuner.measure.calibration import Calibration
from tuner.measure.capacity import Capacity
from tuner.measure.host_use import HostUse
from tuner.measure.measurement import Measurement, Missing
from tuner.measure.proc import cpu_model
from tuner.measure.record import StudyRecord
from tuner.spec.host import Host
from tuner.spec.study import Stage, StudySpec
from tuner.trial import Connect, Rig, TrialRequest, TrialResult, run_capacity, run_stages, run_trial


class Backend(Protocol):
    """Who runs the trials of one study: containers, a simulated host, a recorded grid.

    A backend is made for one study, `study`; `name` is stored with each trial. It is a context
    manager. Entering it prepares what all trials share: an image, a connection, the removal of what
    dead runs left. Leaving it removes whatever is still there, also after an exception or an
    interrupt. In between one thread calls the other methods, one at a time: `environment` whenever
    it likes, `calibrate` at most once, then any number of trials.

    A backend that deploys is a `DeployingBackend`. It needs a `Deployer` and a `Connect`, and no
    class of its own. A backend of another kind subclasses this class: `name`, `study`,
    `environment` and `run_trial` have no default. The function that makes either (`MakeBackend`)
    has its name in `tuner.backends.BACKENDS`.
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

        `backend` is the name. `host` is a mapping with at least `cpus`: the number of CPUs that
        serve, of which `cpu_percent` is a share.
        """
        ...

    def unmeasurable(self) -> Mapping[str, Missing]:
        """The metrics that it cannot measure here, by name. It need not be entered for that."""
        return {}

    def alike(self) -> Mapping[str, str]:
        """What must be equal on two hosts whose trials are compared: texts by name.

        `CPUs` is the number of those that serve. It need not be entered for that. Raises TuneError
        where this host lacks something that a trial needs.
        """
        return {"CPU model": cpu_model() or "unknown", "CPUs": str(Host.this().cpus)}

    def calibrate(self) -> Calibration | None:
        """Measure the load engine itself, on the path that requests take.

        Later trials judge their measurements by it. None where requests take no path.
        """
        return None

    def run_trial(self, request: TrialRequest) -> TrialResult:
        """Measure one configuration.

        One that cannot serve is a result too (`TrialResult.infeasible`). Metrics are in the units
        of `tuner.spec.metrics`. `phases` are seconds by name; `deploy` is what bringing the
        deployment up took, about 0 where it was reused. A `fresh` request gets a new deployment.

        Raises TrialFailed where the trial broke for another reason than its configuration: the
        study goes on, and tries the configuration again. Raises Unreachable where what deploys
        cannot be reached: the run waits for it (`answers`). Any other exception ends the run.
        """
        ...

    def host_use(self, seconds: float) -> HostUse | None:  # noqa: ARG002 -- for those that have one
        """Who uses the host's CPUs in the next `seconds`, while nothing is measured.

        The run waits with the next measurement while others use too much of it. None, at once,
        where what is measured does not run on this host.
        """
        return None

    def answers(self) -> bool:
        """Whether what deploys can be reached now.

        Asked again and again after an Unreachable, while the backend is not entered. Then the run
        enters it once more. So entering removes what an entry before it could not.
        """
        return True

    def run_stages(
        self,
        request: TrialRequest,  # noqa: ARG002 -- see the message
        stages: Sequence[Stage],  # noqa: ARG002
    ) -> tuple[Measurement, ...]:
        """Measure a configuration at one level of load after another (`tuner.trial.run_stages`).

        Raises Infeasible or TrialFailed, and InputError where this backend cannot do that.
        """
        raise InputError(
            f"backend {self.name} cannot measure one level of load after another",
            "use another --backend",
        )

    def run_capacity(self, request: TrialRequest) -> Capacity:  # noqa: ARG002 -- see the message
        """Find the highest rate that a configuration holds (`tuner.trial.run_capacity`).

        Raises as `run_stages`.
        """
        raise InputError(
            f"backend {self.name} cannot search for a capacity", "use another --backend"
        )


@dataclass(frozen=True)
class BackendOptions:
    """What a backend may need beside its study.

    `recorded` is the file of a recorded grid, for `replay`. `so_far` is what the study holds
    already, where a run is resumed. `may_load` says that an `endpoint` on another machine may be
    loaded. `senders_on` is the Dask cluster whose hosts send, None where this machine does.
    """

    recorded: Path | None = None
    so_far: StudyRecord | None = None
    may_load: bool = False
    senders_on: str | None = None


NO_OPTIONS = BackendOptions()

NO_NODES: Mapping[str, Missing] = {
    "nodes": Missing(
        "the replicas are not placed on the nodes of a swarm",
        "use --backend swarm, or another metric",
    )
}
"""What backends cannot measure that know one host."""


class MakeBackend(Protocol):
    """Makes a backend for a study.

    Raises InputError for a study that it cannot measure, SetupError where something is missing
    here. Nothing is deployed until the backend is entered.
    """

    def __call__(self, study: StudySpec, options: BackendOptions = ..., /) -> Backend: ...


@dataclass
class DeployingBackend(Backend):
    """A backend that deploys and sends: each trial is `tuner.trial.run_trial`.

    `connect` opens the connections of one burst. `calibrator` is given the entered `deployer` and
    measures the load engine on the path to its deployments. `watch` is `host_use`, `reach` is
    `answers`, `missing` is what is `unmeasurable`, `same` adds to what is `alike`. `senders` is
    where the load comes from, None where nothing is sent. Where the study says so (`search.stay`),
    the next trial reuses a deployment that it can use.
    """

    name: str
    study: StudySpec
    deployer: Deployer
    connect: Connect
    calibrator: Callable[[Deployer], Calibration | None] = lambda _: None
    watch: Callable[[float], HostUse | None] = lambda _: None
    missing: Mapping[str, Missing] = field(default_factory=dict)
    reach: Callable[[], bool] = lambda: True
    same: Callable[[], Mapping[str, str]] = dict
    senders: SenderPlace | None = None
    _calibration: Calibration | None = field(default=None, init=False)
    _reuse: ReusingDeployer | None = field(default=None, init=False)
    _world: ExitStack = field(default_factory=ExitStack, init=False)

    def __post_init__(self) -> None:
        if self.study.search.stay:
            needs_peak = "memory_peak_mib" in self.study.metrics
            self._reuse = ReusingDeployer(self.deployer, needs_peak=needs_peak)

    @property
    def rig(self) -> Rig:
        """What trials are measured with, without the reuse of deployments."""
        return Rig(self.deployer, self.connect, self._calibration)

    def __enter__(self) -> Self:
        with ExitStack() as world:
            if self.senders is not None:
                world.enter_context(self.senders)
            world.enter_context(self._reuse or self.deployer)
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._world.__exit__(*exc)  # type: ignore[arg-type]

    def environment(self) -> Mapping[str, Any]:
        sent_from = {} if self.senders is None else self.senders.facts()
        return {**self.deployer.environment(), **sent_from}

    def unmeasurable(self) -> Mapping[str, Missing]:
        return self.missing

    def alike(self) -> Mapping[str, str]:
        return {**super().alike(), **self.same()}

    def calibrate(self) -> Calibration | None:
        self._calibration = self.calibrator(self.deployer)
        return self._calibration

    def host_use(self, seconds: float) -> HostUse | None:
        return self.watch(seconds)

    def answers(self) -> bool:
        return self.reach() and (self.senders is None or self.senders.answers())

    def run_trial(self, request: TrialRequest) -> TrialResult:
        if self._reuse is None:
            return run_trial(self.study, request, self.rig)
        if request.fresh:
            self._reuse.deploy_anew()
        reuse = self._reuse
        rig = replace(self.rig, deployer=reuse, is_warm=lambda: bool(reuse.facts.get("stayed")))
        result = run_trial(self.study, request, rig)
        facts = reuse.facts
        if facts.get("stayed") and result.measurement is not None:
            # What was measured of the start-up is another trial's.
            measurement = result.measurement.lacking("ready_seconds")
            result = replace(result, measurement=measurement)
        return replace(result, deployment={**result.deployment, **facts})

    def run_stages(self, request: TrialRequest, stages: Sequence[Stage]) -> tuple[Measurement, ...]:
        return run_stages(self.study, request, self.rig, stages)

    def run_capacity(self, request: TrialRequest) -> Capacity:
        return run_capacity(self.study, request, self.rig)


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

    `on_invalid` is told the first result before the second attempt. That may be INVALID too.
    Raises as `Backend.run_trial`.
    """
    first = backend.run_trial(request)
    if not first.invalid:
        return Attempts(first)
    on_invalid(first)
    return Attempts(backend.run_trial(replace(request, fresh=True)), first)

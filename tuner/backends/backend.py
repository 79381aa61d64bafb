"""Who runs a study's trials: real containers, a computed host, or a recorded grid; by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tuner.backends.replay import refuse_unfit, replay_trial
from tuner.backends.replay_deployer import ReplayDeployer
from tuner.backends.replay_file import read_table
from tuner.backends.simulated import SimulatedDeployer, SimulatedSender
from tuner.deploy.docker import DockerDeployer
from tuner.deploy.protocol import Deployer, Deployment
from tuner.errors import InputError
from tuner.load.calibrate import calibrate
from tuner.load.payload import PAYLOADS
from tuner.load.sender import LoadGenerator
from tuner.measure.calibration import Calibration
from tuner.measure.golden import load_golden
from tuner.measure.hopeless import Judge
from tuner.measure.record import StudyRecord
from tuner.serving.built_model import require_built
from tuner.spec.host import Host
from tuner.spec.space import Configuration
from tuner.spec.study import LoadProfile, StudySpec
from tuner.trial import Client, Connect, Observe, TrialResult, run_trial

BackendName = Literal["docker", "simulated", "replay"]


class Attempt(Protocol):
    """One trial: `tuner.trial.run_trial`, or what stands for it."""

    def __call__(
        self,
        study: StudySpec,
        configuration: Configuration,
        deployer: Deployer,
        connect: Connect,
        label: str,
        calibration: Calibration | None = None,
        observe: Observe = ...,
        judge: Judge | None = ...,
    ) -> TrialResult: ...


@dataclass(frozen=True)
class Backend:
    """A deployer and what sends bursts to its deployments.

    `calibrate` measures the load engine on the path that the deployer's requests take, once the
    deployer was entered; None where there is no such path. `attempt` makes a trial of all of them.
    """

    name: BackendName
    deployer: Deployer
    connect: Connect
    calibrate: Callable[[Deployer], Calibration | None]
    attempt: Attempt = run_trial


def docker_backend(study: StudySpec) -> Backend:
    """Containers and the real load generator, which checks a sample of the answers.

    The load engine is calibrated in the first of the study's protocols. Raises SetupError when the
    model is not built, InputError when its golden requests cannot be sent in one of them.
    """
    require_built(study.model)
    golden = load_golden(study.model.golden)
    payloads = {name: PAYLOADS[name](study.model, golden) for name in study.protocols()}
    generator = LoadGenerator()
    first = study.protocols()[0]

    def connect(target: Deployment, profile: LoadProfile) -> AbstractContextManager[Client]:
        payload = payloads[profile.protocol]
        return generator.connect(target, profile, payload.bodies, check=payload.check)

    def calibrated(deployer: Deployer) -> Calibration | None:
        bodies = payloads[first].bodies
        with deployer.null_server() as target:
            if target is None:
                return None
            return calibrate(generator, target, bodies, protocol=first)

    return Backend(
        "docker",
        DockerDeployer(study.model, study.serving, study.name, study.load.placement),
        connect,
        calibrated,
    )


def simulated_backend(study: StudySpec) -> Backend:
    """The queueing model; everything it makes says `simulated`."""
    sender = SimulatedSender()
    return Backend(
        "simulated",
        SimulatedDeployer(Host.this(), study.seed),
        lambda target, profile: sender.connect(target, profile, ()),
        lambda _: None,
    )


def _no_requests(_target: Deployment, _profile: LoadProfile) -> AbstractContextManager[Client]:
    raise InputError("a recorded grid takes no requests", "measure by another --backend")


def replay_backend(study: StudySpec, path: Path, so_far: StudyRecord | None = None) -> Backend:
    """The recorded grid in the file `path`; everything it makes says `replay`.

    `so_far` is what the study was served before. Raises InputError where the grid does not have
    what the study would measure, or is not the one that the study was served from.
    """
    table = read_table(path)
    refuse_unfit(study, table, path.name)
    served = () if so_far is None else (t.configuration for t in so_far.trials)
    source = ReplayDeployer(table, study.seed, served)
    if so_far is not None and so_far.trials:
        known, now = (e.get("replayed") for e in (so_far.environment, source.environment()))
        if known != now:
            raise InputError(
                f"study {study.name!r} was begun with another recorded grid than {path.name}:"
                f" {known}, not {now}",
                "go on with that one, or give another --storage",
            )

    def attempt(
        study: StudySpec,
        configuration: Configuration,
        deployer: Deployer,
        connect: Connect,  # noqa: ARG001 -- nothing is sent
        label: str,
        calibration: Calibration | None = None,  # noqa: ARG001
        observe: Observe = lambda _: None,
        judge: Judge | None = None,  # noqa: ARG001
    ) -> TrialResult:
        return replay_trial(source, study, configuration, deployer, label, observe)

    return Backend("replay", source, _no_requests, lambda _: None, attempt)


BACKENDS: dict[BackendName, Callable[[StudySpec], Backend]] = {
    "docker": docker_backend,
    "simulated": simulated_backend,
}
"""Those that have a host, real or computed, which needs nothing but the study."""


def make_backend(
    name: BackendName,
    study: StudySpec,
    recorded: Path | None = None,
    so_far: StudyRecord | None = None,
) -> Backend:
    """The backend of that name; `recorded` and `so_far` are for `replay_backend` only.

    Raises InputError where replay has no file, and as the backends do.
    """
    if name != "replay":
        return BACKENDS[name](study)
    if recorded is None:
        raise InputError(
            "backend replay needs a recorded grid", "tune run --backend replay --replay FILE"
        )
    return replay_backend(study, recorded, so_far)

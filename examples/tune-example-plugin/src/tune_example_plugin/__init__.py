"""A metric, a backend and a server for tune; `pyproject.toml` names them as entry points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tuner.backends.backend import NO_OPTIONS, BackendOptions, DeployingBackend
from tuner.backends.simulated import SimulatedDeployer, SimulatedSender
from tuner.measure.plugin_metrics import MeasuredWindow
from tuner.measure.samples import RequestOutcome
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING
from tuner.spec.host import Host
from tuner.spec.metrics import Metric
from tuner.spec.study import ModelSpec, ServingSpec, StudySpec


def deviation_ms(window: MeasuredWindow) -> float | None:
    """Standard deviation of response time; None where fewer than two requests succeeded."""
    durations = window.requests.duration_ns[window.requests.outcome == RequestOutcome.OK]
    return float(np.std(durations) / 1e6) if len(durations) > 1 else None


DEVIATION = Metric(
    name="deviation_ms",
    unit="ms",
    better="minimize",
    label="deviation",
    description="standard deviation of response time of successful requests in the window",
    compute=deviation_ms,
)


def small_host(study: StudySpec, _options: BackendOptions = NO_OPTIONS, /) -> DeployingBackend:
    """A simulated host with 2 CPUs and 4 GiB of memory, whatever this machine has."""
    deployer = SimulatedDeployer(Host(cpus=2, memory_mib=4096), study.seed)
    return DeployingBackend("small-host", study, deployer, SimulatedSender().connect)


def _batching(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    """TensorFlow Serving with batching switched on, whatever flags a study sets."""
    plan = TENSORFLOW_SERVING.plan(serving, model, image)
    return replace(plan, command=(*plan.command, "--enable_batching=true"))


BATCHING = replace(TENSORFLOW_SERVING, title="TensorFlow Serving with batching", plan=_batching)

"""Bursts of the simulated deployer, and what its tests ask of them."""

from __future__ import annotations

from pathlib import Path

from tuner.backends.simulated import SimulatedDeployer, SimulatedSender
from tuner.measure.samples import Burst, RequestSamples
from tuner.spec.host import Host
from tuner.spec.space import Configuration, Value
from tuner.spec.study import (
    DeploymentSpec,
    LoadProfile,
    LoadSpec,
    ModelSpec,
    NetworkSpec,
    ServingSpec,
)

HOST = Host(cpus=4, memory_mib=8192)
MODEL = ModelSpec("mnist", "", Path("models/mnist"), Path("models/mnist/built"))


def at(**changes: Value) -> Configuration:
    values: dict[str, Value] = {
        "concurrency": 8,
        "cpu": 1.0,
        "memory": 512,
        "replicas": 2,
        "loss": 0.0,
    }
    return Configuration.of({**values, **changes})


def deployment_spec(configuration: Configuration) -> DeploymentSpec:
    return DeploymentSpec(
        MODEL,
        ServingSpec(flags={"tensorflow_intra_op_parallelism": "2"}),
        int(configuration["replicas"]),
        float(configuration["cpu"]),
        int(configuration["memory"]),
    )


def symmetrical(loss: float) -> NetworkSpec:
    return NetworkSpec(loss_in=loss, loss_out=loss)


def sent(
    configuration: Configuration,
    deployer: SimulatedDeployer | None = None,
    load: LoadSpec | None = None,
) -> Burst:
    profile = LoadProfile(int(configuration["concurrency"]), load or LoadSpec(), seed=0)
    deployer = deployer or SimulatedDeployer(HOST, seed=1)
    with (
        deployer as running,
        running.deploy(deployment_spec(configuration), "trial 0") as deployment,
        SimulatedSender().connect(deployment, profile, [b"x"], path="/v1") as client,
        deployment.impair(symmetrical(float(configuration["loss"]))),
    ):
        burst = client.run()
        deployment.verify()
    return burst


def counted(burst: Burst) -> RequestSamples:
    end = burst.samples.start_ns + burst.samples.duration_ns
    return burst.samples.select((end >= burst.window_start_ns) & (end < burst.window_end_ns))


def seconds(burst: Burst) -> float:
    return (burst.window_end_ns - burst.window_start_ns) / 1e9


def art_ms(burst: Burst) -> float:
    return float(counted(burst).duration_ns.mean()) / 1e6


def cpu_percent(burst: Burst) -> float:
    pairs = zip(burst.counters_start, burst.counters_end, strict=True)
    return 100 * sum(b.cpu_ns - a.cpu_ns for a, b in pairs) / 1e9 / seconds(burst) / HOST.cpus

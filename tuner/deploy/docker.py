"""Real containers: the deployer behind `--backend docker`.

A deployment is one bridge network and its replicas, all labelled with owner, study, trial and
deployment. Whatever happens inside, everything that carries the deployment's label is gone when
the block ends; what a killed process left is swept when the next run starts.
"""

from __future__ import annotations

import os
import platform
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Self

from docker import DockerClient
from docker.errors import APIError
from docker.models.networks import Network

from tuner.deploy import cgroup, engine, impairment
from tuner.deploy.keeper import Keeper, keeper
from tuner.deploy.ownership import LABEL, Owner, remove_container, remove_network, sweep
from tuner.deploy.replica import Replica, ReplicaMaker
from tuner.deploy.together import together
from tuner.errors import SetupError, TrialFailed
from tuner.measure.golden import load_golden
from tuner.measure.samples import ContainerCounters
from tuner.serving.base import exists
from tuner.serving.image import base_tag, find_image
from tuner.serving.model import model_checksum, require_built
from tuner.serving.plan import ContainerPlan, container_plan
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

RUN_LABEL = "tune.run"
STUDY_LABEL = "tune.study"
TRIAL_LABEL = "tune.trial"
DEPLOYMENT_LABEL = "tune.deployment"

_MIB = 2**20
_WORKERS = 32
_EVICTION_FAULTS = 50
"""Major faults of one replica's start that say that its files were no longer in the page cache."""


class DockerDeployer:
    """Deploys one study's model on the Docker Engine of this machine.

    Entering checks that engine, image and model are there (SetupError), sweeps dead runs and
    starts the keeper; leaving removes all that is left.
    """

    name = "docker"

    def __init__(self, model: ModelSpec, serving: ServingSpec, study: str) -> None:
        self._model = model
        self._serving = serving
        self._study = study

    def __enter__(self) -> Self:
        with ExitStack() as world:
            require_built(self._model)
            self._golden = load_golden(self._model.golden)
            self._client = world.enter_context(engine.connect())
            run = uuid.uuid4().hex[:12]
            self._labels = {LABEL: str(Owner.this()), RUN_LABEL: run, STUDY_LABEL: self._study}
            self._info = self._client.info()
            self.swept = sweep(self._client)
            world.enter_context(_undo(self._client, RUN_LABEL, run))
            if self._serving.image == "tune":
                self._image = find_image(self._client)
            else:
                self._image = present_image(self._client, self._serving.image)
            plan = container_plan(self._serving, self._model.name, self._image)
            mounts = self._mounts(plan)
            self._keeper: Keeper | None = None
            if self._serving.page_cache == "shared":
                self._keeper = world.enter_context(
                    keeper(
                        self._client, self._image, mounts, plan.model_mount, plan.user, self._labels
                    )
                )
            self._loss_tool: impairment.Tool | None = None
            if exists(self._client, base_tag()):
                self._loss_tool = impairment.probe_tool(self._client, base_tag(), self._labels)
            self._reachable: bool | None = None
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._world.close()

    def environment(self) -> Mapping[str, Any]:
        info = self._info
        return {
            "backend": self.name,
            "host": {
                "name": platform.node(),
                "cpus": info["NCPU"],
                "memory_mib": info["MemTotal"] // _MIB,
                "kernel": info["KernelVersion"],
                "cgroup": f"v{info.get('CgroupVersion', '1')}",
            },
            "engine": info["ServerVersion"],
            "image": self._image,
            "image_id": self._client.images.get(self._image).id,
            "model": self._model.name,
            "model_checksum": model_checksum(self._model),
            "page_cache": self._serving.page_cache,
            "loss_method": self._loss_tool and f"{self._loss_tool} -m statistic",
        }

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[DockerDeployment]:
        """See `Deployer.deploy`. Replicas are created, probed and removed at the same time.

        What the engine refuses is a TrialFailed.
        """
        # Flags and variables may be the trial's own.
        plan = container_plan(spec.serving, self._model.name, self._image)
        identity = uuid.uuid4().hex[:12]
        labels = self._labels | {TRIAL_LABEL: label, DEPLOYMENT_LABEL: identity}
        if self._keeper is None:
            drop_page_cache()
        # Leaving the executor waits for creations under way, so none comes after the clean-up.
        with (
            _refusals(),
            _undo(self._client, DEPLOYMENT_LABEL, identity),
            ThreadPoolExecutor(_WORKERS, "replica") as executor,
        ):
            name = f"tune-{self._study}-{_name_part(label)}-{identity}"
            # In a thread: an interrupt here must not come between the engine and its answer.
            network = executor.submit(self._network, name, labels).result()
            given_up = Event()
            make = ReplicaMaker(
                self._client,
                plan,
                self._mounts(plan),
                spec,
                network,
                labels,
                not self._reachable,
                given_up,
            )
            replicas = together(executor, make, range(spec.replicas), given_up.set)
            together(executor, lambda r: self._bring_up(r, spec), replicas, given_up.set)
            self._mend_page_cache(replicas)
            deployment = DockerDeployment(
                self._client,
                plan,
                spec,
                tuple(replicas),
                labels,
                executor,
                self._loss_tool,
                self._info["NCPU"],
            )
            try:
                yield deployment
            except (TrialFailed, APIError):
                # A dead replica explains a failed burst better than the burst can.
                deployment.verify()
                raise

    def _mend_page_cache(self, replicas: Sequence[Replica]) -> None:
        """Read evicted files again, on the keeper's account."""
        if self._keeper is not None and any(
            replica.counters().major_faults > _EVICTION_FAULTS for replica in replicas
        ):
            self._keeper.read()

    def _mounts(self, plan: ContainerPlan) -> dict[str, dict[str, str]]:
        source = str(self._model.versions.resolve())
        return {source: {"bind": plan.model_mount, "mode": "ro"}}

    def _network(self, name: str, labels: Mapping[str, str]) -> Network:
        """A bridge of the deployment's own, without a way out where addresses answer directly."""

        def create(internal: bool) -> Network:
            return self._client.networks.create(
                name, driver="bridge", internal=internal, labels=dict(labels)
            )

        network = create(internal=self._reachable is not False)
        if self._reachable is None:
            self._reachable = engine.bridge_is_reachable(network)
            if not self._reachable:
                network.remove()
                network = create(internal=False)
        return network

    def _bring_up(self, replica: Replica, spec: DeploymentSpec) -> None:
        replica.check_limits(spec)
        replica.wait_until_ready(self._model.name, spec.serving.ready_seconds)
        replica.check_answers(self._model, self._golden)


def present_image(client: DockerClient, reference: str) -> str:
    """The official or a user's own image, pulled when it is not there. Raises SetupError."""
    if client.images.list(name=reference):
        return reference
    try:
        client.images.pull(reference)
    except APIError as error:
        raise SetupError(
            f"image {reference} is not there and cannot be pulled: {error.explanation}",
            "load it into the engine (`docker load`), or set `serving.image: tune` in the study",
        ) from error
    return reference


def drop_page_cache() -> None:
    """Make the next reader pay for every page. Raises SetupError where the host does not allow it.

    See `drop_caches` in the kernel's Documentation/admin-guide/sysctl/vm.rst.
    """
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError as error:
        raise SetupError(
            f"the page cache cannot be dropped: {error}",
            "run as root, or set `serving.page_cache: shared` in the study",
        ) from error


@contextmanager
def _undo(client: DockerClient, label: str, value: str) -> Iterator[None]:
    """Remove every container and network with this label, however the block ends."""
    try:
        yield
    finally:
        chosen: dict[str, str | list[str] | bool] = {"label": f"{label}={value}"}
        with ExitStack() as at_last, ThreadPoolExecutor(_WORKERS, "remove") as executor:
            for network in client.networks.list(filters=chosen):
                at_last.callback(remove_network, network)
            containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
            together(executor, remove_container, containers)


@contextmanager
def _refusals() -> Iterator[None]:
    """What the engine refuses, as a TrialFailed."""
    try:
        yield
    except APIError as error:
        reason = error.explanation or error
        raise TrialFailed(f"the Docker Engine refused a step: {reason}") from error


def _name_part(label: str) -> str:
    """`label` with only those characters that the engine takes in a name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", label)


@dataclass(frozen=True)
class DockerDeployment:
    """Replicas that are ready; see `Deployment`."""

    client: DockerClient
    plan: ContainerPlan
    spec: DeploymentSpec
    replicas: tuple[Replica, ...]
    labels: Mapping[str, str]
    executor: Executor
    loss_tool: impairment.Tool | None
    host_cpus: int

    @property
    def model_name(self) -> str:
        return self.spec.model.name

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [replica.address for replica in self.replicas]

    def counters(self) -> tuple[ContainerCounters, ...]:
        return tuple(replica.counters() for replica in self.replicas)

    def impair(self, loss_percent: float) -> AbstractContextManager[impairment.Loss]:
        return impairment.impaired(
            self.client,
            [replica.container for replica in self.replicas],
            base_tag(),
            self.loss_tool,
            self.plan.port,
            loss_percent,
            self.labels,
            self.executor,
        )

    def verify(self) -> None:
        together(self.executor, Replica.check_alive, self.replicas)

    def facts(self) -> Mapping[str, Any]:
        return {
            "backend": "docker",
            "containers": [str(replica.container.name) for replica in self.replicas],
            "addresses": [f"{host}:{port}" for host, port in self.addresses],
            "limits": [_limit_facts(replica.source.limits()) for replica in self.replicas],
            "counters": self.replicas[0].counters().source,
        }


def _limit_facts(limits: cgroup.Limits) -> dict[str, float | None]:
    memory = limits.memory_bytes
    return {"cpu": limits.cpu, "memory_mib": memory and memory / _MIB}

"""Real containers: the deployer behind `--backend docker`.

A deployment is one bridge network and its replicas, all labelled with owner, study, trial and
deployment. Whatever happens inside, everything that carries the deployment's label is gone when
the block ends; what a killed process left is swept when the next run starts.
"""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import requests
from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy import cgroup, engine, impairment
from tuner.deploy.keeper import Keeper, keeper
from tuner.deploy.ownership import LABEL, Owner, remove_container, remove_network, sweep
from tuner.errors import Infeasible, SetupError, TrialFailed, TuneError
from tuner.measure.golden import Golden, load_golden, matches
from tuner.measure.samples import ContainerCounters
from tuner.serving.image import base_tag, find_image
from tuner.serving.model import model_checksum, require_built
from tuner.serving.plan import ContainerPlan, container_plan
from tuner.spec.study import DeploymentSpec, ModelSpec, ServingSpec

STUDY_LABEL = "tune.study"
TRIAL_LABEL = "tune.trial"
DEPLOYMENT_LABEL = "tune.deployment"

_MIB = 2**20
_PIDS_LIMIT = 1024
_PROBE_SECONDS = 0.02
_PROBE_TIMEOUT = 5.0
_LOG_LINES = 20
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
            self._labels = {LABEL: str(Owner.this()), STUDY_LABEL: self._study}
            self.swept = sweep(self._client)
            if self._serving.image == "tune":
                image = find_image(self._client)
            else:
                image = present_image(self._client, self._serving.image)
            self._plan = container_plan(self._serving, self._model.name, image)
            self._executor = world.enter_context(ThreadPoolExecutor(32, "deploy"))
            self._keeper: Keeper | None = None
            if self._serving.page_cache == "shared":
                self._keeper = world.enter_context(
                    keeper(self._client, image, self._mounts(), self._plan.model_mount, self._labels)
                )
            self._loss_tool = impairment.probe_tool(self._client, base_tag(), self._labels)
            self._reachable: bool | None = None
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._world.close()

    def environment(self) -> Mapping[str, Any]:
        info = self._client.info()
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
            "image": self._plan.image,
            "image_id": self._client.images.get(self._plan.image).id,
            "model": self._model.name,
            "model_checksum": model_checksum(self._model),
            "page_cache": self._serving.page_cache,
            "loss_method": self._loss_tool and f"{self._loss_tool} -m statistic",
        }

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[DockerDeployment]:
        """See `Deployer.deploy`. Replicas are created, probed and removed at the same time."""
        identity = uuid.uuid4().hex[:12]
        labels = self._labels | {TRIAL_LABEL: label, DEPLOYMENT_LABEL: identity}
        self._prepare_page_cache()
        # An executor of its own: leaving it waits for creations under way, so none comes late.
        with _undo(self._client, identity), ThreadPoolExecutor(32, "replica") as executor:
            network = self._network(f"tune-{self._study}-{label}-{identity}", labels)
            make = _ReplicaMaker(
                self._client, self._plan, self._mounts(), spec, network, labels, not self._reachable
            )
            replicas = list(executor.map(make, range(spec.replicas)))
            deployment = DockerDeployment(
                self._client, self._plan, spec, tuple(replicas), labels, executor, self._loss_tool
            )
            list(executor.map(lambda r: self._bring_up(r, spec), replicas))
            try:
                yield deployment
            except TrialFailed:
                # A dead replica explains a failed burst better than the burst can.
                deployment.verify()
                raise

    def _prepare_page_cache(self) -> None:
        if self._keeper is None:
            drop_page_cache()

    def _mounts(self) -> dict[str, dict[str, str]]:
        source = str(self._model.versions.resolve())
        return {source: {"bind": self._plan.model_mount, "mode": "ro"}}

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
        replica.wait_until_ready(self._model.name, self._serving.ready_seconds)
        replica.check_answer(self._model, self._golden)
        if self._keeper is not None and replica.source.counters().major_faults > _EVICTION_FAULTS:
            self._keeper.read()


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
        with open("/proc/sys/vm/drop_caches", "w") as switch:
            switch.write("1")
    except OSError as error:
        raise SetupError(
            f"the page cache cannot be dropped: {error}",
            "run as root, or set `serving.page_cache: shared` in the study",
        ) from error


@contextmanager
def _undo(client: DockerClient, identity: str) -> Iterator[None]:
    """Remove every container and network of a deployment, however the block ends."""
    try:
        yield
    finally:
        chosen = {"label": f"{DEPLOYMENT_LABEL}={identity}"}
        containers = client.containers.list(all=True, filters=chosen, ignore_removed=True)
        with ThreadPoolExecutor(32, "remove") as executor:
            list(executor.map(remove_container, containers))
        for network in client.networks.list(filters=chosen):
            remove_network(network)


@dataclass(frozen=True)
class Replica:
    """One running container and where it answers."""

    index: int
    container: Container
    address: tuple[str, int]
    source: cgroup.Source

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def check_limits(self, spec: DeploymentSpec) -> None:
        """Compare what the kernel enforces with what was asked. Raises TuneError on a difference."""
        found = self.source.limits()
        asked = cgroup.Limits(spec.cpu, spec.memory_mib * _MIB, 0)
        # The kernel keeps CPU quotas in whole microseconds per period.
        cpu_ok = found.cpu is not None and abs(found.cpu - spec.cpu) < 1e-3
        if not cpu_ok or (found.memory_bytes, found.swap_bytes) != (asked.memory_bytes, 0):
            raise TuneError(
                f"replica {self.index} did not get its limits: asked {asked}, applied {found}",
                "check that the engine's host supports CPU quotas and memory limits (`docker info`)",
            )

    def wait_until_ready(self, model: str, seconds: float) -> None:
        """Poll the model's status. Raises Infeasible when the container dies or takes too long."""
        deadline = time.monotonic() + seconds
        inspect_at = time.monotonic() + 0.5
        with requests.Session() as session:
            while True:
                if _is_available(session, f"{self.url}/v1/models/{model}"):
                    return
                now = time.monotonic()
                if now >= inspect_at or now >= deadline:
                    self.check_alive()
                    inspect_at = now + 0.5
                if now >= deadline:
                    raise Infeasible(
                        "never ready",
                        f"replica {self.index} was not ready within {seconds:g} s",
                        self.log_tail(),
                    )
                time.sleep(_PROBE_SECONDS)

    def check_answer(self, model: ModelSpec, golden: Golden) -> None:
        """One golden request. Raises TrialFailed when the answer is wrong."""
        url = f"{self.url}/v1/models/{model.name}:predict"
        try:
            reply = requests.post(url, data=golden.bodies[0], timeout=30)
        except requests.RequestException as error:
            self.check_alive()
            raise TrialFailed(f"replica {self.index} did not answer the golden request: {error}") from error
        if reply.status_code != 200:
            raise TrialFailed(
                f"replica {self.index} refused the golden request of model {model.name}:"
                f" HTTP {reply.status_code} {reply.text[:300]}"
            )
        if not matches(golden.responses[0], reply.json(), model.tolerance):
            raise TrialFailed(
                f"replica {self.index} answers model {model.name}'s golden request wrongly:"
                f" expected {_short(golden.responses[0])}, got {_short(reply.json())}"
            )

    def check_alive(self) -> None:
        """Raise Infeasible when the container has stopped or had a process killed for memory."""
        self.container.reload()
        state = self.container.attrs["State"]
        if state["Running"]:
            return
        # 137 = 128 + SIGKILL: nobody but the kernel's OOM killer sends it while a trial runs.
        if state.get("OOMKilled") or state["ExitCode"] == 137:
            limit = self.container.attrs["HostConfig"]["Memory"] // _MIB
            raise Infeasible(
                "out of memory",
                f"replica {self.index} was killed at its memory limit of {limit} MiB",
                self.log_tail(),
            )
        raise Infeasible(
            "never ready",
            f"replica {self.index} stopped by itself with exit code {state['ExitCode']}",
            self.log_tail(),
        )

    def log_tail(self) -> str:
        return str(self.container.logs(tail=_LOG_LINES).decode(errors="replace"))


def _is_available(session: requests.Session, url: str) -> bool:
    try:
        reply = session.get(url, timeout=_PROBE_TIMEOUT)
        if reply.status_code != 200:
            return False
        versions = reply.json()["model_version_status"]
    except (requests.RequestException, ValueError, KeyError):
        return False
    return any(version.get("state") == "AVAILABLE" for version in versions)


def _short(answer: object) -> str:
    text = json.dumps(answer)
    return text if len(text) <= 200 else text[:200] + "..."


@dataclass(frozen=True)
class _ReplicaMaker:
    """Creates and starts the replica with a given index."""

    client: DockerClient
    plan: ContainerPlan
    mounts: dict[str, dict[str, str]]
    spec: DeploymentSpec
    network: Network
    labels: Mapping[str, str]
    publish: bool

    def __call__(self, index: int) -> Replica:
        container = self.client.containers.create(
            self.plan.image,
            name=f"{self.network.name}-{index}",
            entrypoint=self.plan.entrypoint,
            command=list(self.plan.command),
            environment=dict(self.plan.environment),
            user=self.plan.user,
            nano_cpus=round(self.spec.cpu * 1e9),
            mem_limit=self.spec.memory_mib * _MIB,
            memswap_limit=self.spec.memory_mib * _MIB,
            pids_limit=_PIDS_LIMIT,
            read_only=True,
            tmpfs=dict(self.plan.tmpfs),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            volumes=self.mounts,
            network=self.network.name,
            ports={f"{self.plan.port}/tcp": ("127.0.0.1", None)} if self.publish else None,
            labels=dict(self.labels),
        )
        container.start()
        container.reload()
        return Replica(index, container, self._address(container), cgroup.counter_source(container))

    def _address(self, container: Container) -> tuple[str, int]:
        settings = container.attrs["NetworkSettings"]
        if not self.publish:
            return settings["Networks"][self.network.name]["IPAddress"], self.plan.port
        published = settings["Ports"][f"{self.plan.port}/tcp"][0]
        return published["HostIp"], int(published["HostPort"])


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
    host_cpus: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def model_name(self) -> str:
        return self.spec.model.name

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [replica.address for replica in self.replicas]

    def counters(self) -> tuple[ContainerCounters, ...]:
        return tuple(replica.source.counters() for replica in self.replicas)

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
        list(self.executor.map(lambda replica: replica.check_alive(), self.replicas))

    def facts(self) -> Mapping[str, Any]:
        return {
            "backend": "docker",
            "containers": [str(replica.container.name) for replica in self.replicas],
            "addresses": [f"{host}:{port}" for host, port in self.addresses],
            "limits": [_limit_facts(replica.source.limits()) for replica in self.replicas],
            "counters": self.replicas[0].source.counters().source,
        }


def _limit_facts(limits: cgroup.Limits) -> dict[str, float | None]:
    memory = limits.memory_bytes
    return {"cpu": limits.cpu, "memory_mib": memory and memory / _MIB}

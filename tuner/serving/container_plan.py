"""How a serving image runs in a container: tune's own and the official one alike. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from tuner.errors import InputError
from tuner.plugins import added_by_packages
from tuner.spec.study import LoadProtocol, ServingSpec

PORT = 8501
"""Port of TensorFlow Serving's REST API."""

GRPC_PORT = 8500
"""Port of its gRPC services."""

PIDS_LIMIT = 1024
"""The most processes and threads of a replica: more than a server needs, less than a fault
makes."""

NOBODY = "65534:65534"
"""nobody:nogroup, also where an image has no such names."""

IPC_MODE = "none"
"""No shared memory with a process outside, and none in `/dev/shm`, which then cannot be written. A
server that needs it there has it in the `tmpfs` of its plan."""

METRICS_PATH = "/monitoring/prometheus/metrics"
"""Where TensorFlow Serving answers Prometheus, unless its monitoring file names another path."""

_PRIVILEGED_PORTS = 1024
"""Ports below are for root. The engine gives them to everyone in a container unless told not to."""

_TAKEN_FLAGS = ("model_name", "model_base_path", "port", "rest_api_port")
_MONITORING = "monitoring_config_file"
_TAKEN_VARIABLES = ("MODEL_NAME", "MODEL_BASE_PATH")


@dataclass(frozen=True)
class ContainerPlan:
    """What a container of the serving image needs, besides its limits and its network.

    `entrypoint` is None to use the image's own; `command` follows it. The model's versions are
    mounted at `model_mount`, read-only. `tmpfs` maps the only writable paths to mount options.
    `metrics_path` is where its REST port answers Prometheus; None where it may not.
    """

    image: str
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    grpc_port: int
    model_mount: str
    user: str
    tmpfs: Mapping[str, str]
    metrics_path: str | None = None

    def port_of(self, protocol: LoadProtocol) -> int:
        """The port that answers requests of `protocol`."""
        return self.grpc_port if protocol == "grpc" else self.port

    @property
    def sysctls(self) -> Mapping[str, str]:
        """Settings of its network namespace: no port below 1024 may be bound, but its own."""
        lowest = min(_PRIVILEGED_PORTS, self.port, self.grpc_port)
        return {"net.ipv4.ip_unprivileged_port_start": str(lowest)}


MakePlan = Callable[[ServingSpec, str, str], ContainerPlan]
"""From what runs in each replica, the model's name and the image to the plan of a container.

A package that adds a server (entry point in the group `tune.servers`) names such a function. Its
container must answer TensorFlow Serving's REST API at `port`, and its gRPC services at `grpc_port`
where a study uses them.
"""


def container_plan(serving: ServingSpec, model_name: str, image: str) -> ContainerPlan:
    """The plan of the server `serving.server`, with `image` the reference that it resolved to.

    Raises InputError where no package adds a server of that name, and as the server does;
    SetupError where what a package adds is not a server.
    """
    servers = {**BUILT_IN_SERVERS, **added_servers()}
    if serving.server not in servers:
        raise InputError(
            f"there is no server {serving.server!r}; the servers are {', '.join(servers)}",
            "Correct serving.server in the study, or install the package that adds this server.",
        )
    return servers[serving.server](serving, model_name, image)


@cache
def added_servers() -> Mapping[str, MakePlan]:
    return added_by_packages(
        "tune.servers",
        "a function from a ServingSpec, the model's name and an image to a ContainerPlan",
        lambda _, loaded: loaded if callable(loaded) else None,
        BUILT_IN_SERVERS,
    )


def _tensorflow_serving(serving: ServingSpec, model_name: str, image: str) -> ContainerPlan:
    """The plan of TensorFlow Serving, and of tune's own server, which takes its command line.

    Both images start TensorFlow Serving's command line with `MODEL_NAME`, add what follows, and
    read the model at `/models/<name>`. Raises InputError where the study sets a flag or variable
    that the plan itself decides.
    """
    for name in serving.flags:
        if name in _TAKEN_FLAGS:
            raise InputError(
                f"tune itself sets the server flag {name!r}, so a study cannot",
                f"remove {name!r} from the study's serving flags or parameters",
            )
    for name in serving.env:
        if name in _TAKEN_VARIABLES:
            raise InputError(
                f"tune itself sets the server variable {name!r}, so a study cannot",
                f"remove {name!r} from the study's serving variables or parameters",
            )
    ours = serving.image == "tune"
    return ContainerPlan(
        image=image,
        entrypoint=None,
        command=tuple(f"--{name}={value}" for name, value in serving.flags.items()),
        environment={**serving.env, "MODEL_NAME": model_name},
        port=PORT,
        grpc_port=GRPC_PORT,
        model_mount=f"/models/{model_name}",
        user=NOBODY,
        # Ours has metrics without a monitoring file. What such a file says is not known here.
        metrics_path=METRICS_PATH if ours and _MONITORING not in serving.flags else None,
        # tune's server writes nothing. What another image writes is unknown.
        tmpfs={} if ours else {"/tmp": "rw,noexec,nosuid,size=16m"},  # noqa: S108 in the container
    )


BUILT_IN_SERVERS: Mapping[str, MakePlan] = {"tensorflow-serving": _tensorflow_serving}

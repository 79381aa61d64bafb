"""All servers by name: tune's own and those of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from tuner.errors import InputError
from tuner.plugins import added_by_packages
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers.http import HTTP
from tuner.serving.servers.mlserver import MLSERVER
from tuner.serving.servers.onnx_runtime import ONNX_RUNTIME
from tuner.serving.servers.openvino import OPENVINO
from tuner.serving.servers.server import Server
from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING
from tuner.serving.servers.triton import TRITON
from tuner.spec.study import ModelSpec, ServingSpec

SERVERS: Mapping[str, Server] = {
    "tensorflow-serving": TENSORFLOW_SERVING,
    "onnxruntime": ONNX_RUNTIME,
    "triton": TRITON,
    "openvino": OPENVINO,
    "http": HTTP,
    "mlserver": MLSERVER,
}


def server_named(name: str) -> Server:
    """Raises InputError where no package adds a server of that name.

    Raises SetupError where what a package adds is not a server.
    """
    servers = {**SERVERS, **added_servers()}
    if name not in servers:
        raise InputError(
            f"there is no server {name!r}; the servers are {', '.join(servers)}",
            "Correct serving.server in the study, or server in model.yaml; or install the package"
            " that adds this server.",
        )
    return servers[name]


@cache
def added_servers() -> Mapping[str, Server]:
    return added_by_packages(
        "tune.servers",
        "a tuner.serving.servers.server.Server",
        lambda _, loaded: loaded if isinstance(loaded, Server) else None,
        SERVERS,
    )


def container_plan(serving: ServingSpec, model: ModelSpec, image: str) -> ContainerPlan:
    """The plan of the server `serving.server`, with `image` the reference that it resolved to.

    Raises as `server_named`, and InputError as the server does.
    """
    return server_named(serving.server).plan(serving, model, image)

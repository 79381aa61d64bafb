"""How a server's image runs in a container. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tuner.spec.study import LoadProtocol

PIDS_LIMIT = 1024
"""The most processes and threads of a replica: more than a server needs, less than a fault
makes."""

NOBODY = "65534:65534"
"""nobody:nogroup, also where an image has no such names."""

IPC_MODE = "none"
"""No shared memory with a process outside, and none in `/dev/shm`, which then cannot be written. A
server that needs it there has it in the `tmpfs` of its plan."""

BASH_CHECK = (
    "bash",
    "-c",
    (
        "exec 3<>/dev/tcp/127.0.0.1/$1 && printf 'GET %s HTTP/1.0\\r\\n\\r\\n' \"$2\" >&3"
        " && read -r line <&3 && [[ $line == *' 200 '* ]]"
    ),
    "health",
)
"""A `health` of images with bash, which mostly have neither curl nor Python."""

_ASK = (
    "import sys, urllib.request as u;"
    " u.urlopen('http://127.0.0.1:%s%s' % tuple(sys.argv[1:]), timeout=4)"
)

HEALTH_CHECKS = (
    BASH_CHECK,
    ("sh", "-c", 'curl -fs -m 4 -o /dev/null "http://127.0.0.1:$1$2"', "health"),
    ("sh", "-c", 'wget -q -T 4 -O /dev/null "http://127.0.0.1:$1$2"', "health"),
    ("python3", "-c", _ASK),
)
"""What may be a `health` of an image that nobody knows, to be tried in this order."""

_PRIVILEGED_PORTS = 1024
"""Ports below are for root. The engine gives them to everyone in a container unless told not to."""


def tmpfs_bytes(options: str) -> int | None:
    """The size in mount options such as `rw,size=16m`; None where they name none."""
    found = re.search(r"\bsize=(\d+)([kmg]?)", options)
    return None if found is None else int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30}[found[2]]


@dataclass(frozen=True)
class Ready:
    """A server is ready once GET of `path` answers 200 with a body that `pattern` occurs in.

    The pattern is a regular expression that Python and `grep -E` read alike; empty for any body.
    """

    path: str
    pattern: str = ""


@dataclass(frozen=True)
class ContainerPlan:
    """What a container of a server's image needs, besides its limits and its network.

    `entrypoint` is None to use the image's own; `command` follows it. The model's versions are
    mounted at `model_mount`, read-only; None where the image has the model inside. `grpc_port` is
    None where the server does not speak gRPC. `tmpfs` maps the only writable paths to mount
    options. `health` is a command inside the container that asks whether it is ready: it gets the
    port and the path of `ready` as two more words; empty where the image is not known to have a
    tool for that. `metrics_path` is where its REST port answers Prometheus; None where it may not.
    """

    image: str
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    grpc_port: int | None
    model_mount: str | None
    user: str
    ready: Ready
    tmpfs: Mapping[str, str]
    health: tuple[str, ...] = ()
    metrics_path: str | None = None

    def port_of(self, protocol: LoadProtocol) -> int:
        """The port that answers requests of `protocol`."""
        if protocol == "rest":
            return self.port
        assert self.grpc_port is not None
        return self.grpc_port

    @property
    def ports(self) -> Mapping[str, int]:
        """All its ports by protocol, REST first."""
        return {"rest": self.port} | ({} if self.grpc_port is None else {"grpc": self.grpc_port})

    @property
    def sysctls(self) -> Mapping[str, str]:
        """Settings of its network namespace: no port below 1024 may be bound, but its own."""
        lowest = min(_PRIVILEGED_PORTS, *self.ports.values())
        return {"net.ipv4.ip_unprivileged_port_start": str(lowest)}

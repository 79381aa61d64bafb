"""The ports of 127.0.0.1 on which an exported configuration answers."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.errors import InputError
from tuner.serving.container_plan import ContainerPlan

FIRST_PORT = 8501

_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class PublishedPorts:
    """Entrance i answers the REST API at `rest[i]` and gRPC at `grpc[i]`.

    `grpc` is empty where the server does not speak it.
    """

    rest: range
    grpc: range

    def of(self, index: int, plan: ContainerPlan) -> list[str]:
        """How a container of `plan` publishes its ports at entrance `index`."""
        published = [f"127.0.0.1:{self.rest[index]}:{plan.port}"]
        if self.grpc:
            published.append(f"127.0.0.1:{self.grpc[index]}:{plan.grpc_port}")
        return published

    def notes(self, balancer: str | None = None) -> list[str]:
        """Notes on where clients send their requests."""
        if balancer is None:
            begin = "Clients must spread their requests over all ports"
        else:
            begin = f"{balancer} (of the nginx family) spreads requests over the replicas"
        lines = [f"{begin}: {_listed(self.rest)}"]
        if self.grpc:
            lines.append(f"(REST), or {_listed(self.grpc)} (gRPC).")
        if balancer is not None:
            lines.append(
                "It was not part of the measurement: its own time and CPU usage come on top."
            )
        return lines


def published_ports(
    count: int,
    first_rest: int = FIRST_PORT,
    first_grpc: int | None = None,
    *,
    speaks_grpc: bool = True,
) -> PublishedPorts:
    """`count` consecutive ports for REST from `first_rest`, and as many for gRPC.

    Without `first_grpc` those for gRPC come right before those for REST: 8500 before 8501. Raises
    InputError where a port does not exist or would be published twice.
    """
    rest = _ports("REST", first_rest, count)
    if not speaks_grpc:
        return PublishedPorts(rest, range(0))
    grpc = _ports("gRPC", first_rest - count if first_grpc is None else first_grpc, count)
    if set(rest) & set(grpc):
        raise InputError(
            f"the ports for gRPC ({grpc[0]} to {grpc[-1]}) and for REST ({rest[0]} to {rest[-1]})"
            " overlap",
            "choose another --grpc-port",
        )
    return PublishedPorts(rest, grpc)


def _ports(protocol: str, first: int, count: int) -> range:
    ports = range(first, first + count)
    if not 1 <= ports[0] <= ports[-1] <= _HIGHEST_PORT:
        raise InputError(
            f"ports {ports[0]} to {ports[-1]} for {protocol} of {count} replicas are not all within"
            f" 1 to {_HIGHEST_PORT}",
            "choose another first port",
        )
    return ports


def _listed(ports: range) -> str:
    return ", ".join(f"127.0.0.1:{port}" for port in ports)

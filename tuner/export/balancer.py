"""A load balancer in front of the replicas of a compose file: an image of the nginx family.

An environment variable holds nginx's configuration, and the container writes it to a file in its
memory. Both generations of compose do that alike, unlike `configs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuner.export.published import PublishedPorts
from tuner.export.served import Served, check_reference
from tuner.serving.container_plan import IPC_MODE, PIDS_LIMIT

SERVICE = "balancer"

_VARIABLE = "TUNE_NGINX_CONF"
_FILE = "/tmp/nginx.conf"  # noqa: S108 -- a file system of the container's own

_RETRY_SECONDS = 2
_CONNECT_SECONDS = 2  # one lost SYN is sent again after 1 s
_ANSWER_SECONDS = 60

_START = f'printf %s "${_VARIABLE}" > {_FILE} && exec nginx -e stderr -c {_FILE}'


def balancer_service(
    served: Served, image: str, replicas: Sequence[str], ports: PublishedPorts
) -> dict[str, Any]:
    """The compose service that answers on the first of `ports` for the services `replicas`.

    Texts are as the container gets them: `$` is not yet doubled. The service has no limits, because
    the study measured none. Raises InputError where `image` is not an image reference.
    """
    return {
        "image": check_reference(image),
        "entrypoint": ["sh", "-c", _START],
        "environment": {_VARIABLE: nginx_conf(served, replicas)},
        "ports": ports.of(0, served.plan),
        "depends_on": list(replicas),
        "tmpfs": ["/tmp:rw,noexec,nosuid,size=64m,mode=1777"],  # noqa: S108 -- in the container
        "user": served.plan.user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": PIDS_LIMIT,
        "ipc": IPC_MODE,
        "sysctls": dict(served.plan.sysctls),
        "restart": "unless-stopped",
    }


def nginx_conf(served: Served, replicas: Sequence[str]) -> str:
    """The configuration, which sends each request to the replica with the fewest under way.

    It listens on the replicas' own ports, for REST and for gRPC. Connections to replicas stay open.
    Bodies of any size pass through without being stored, and nothing is written outside /tmp. A
    replica that cannot be reached gets no requests for two seconds; its requests go to another one.
    """
    return f"""\
daemon off;
worker_processes auto;
pid /tmp/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000;
{"".join(_upstream(name, replicas, port) for name, port in served.plan.ports.items())}\
  server {{
    listen {served.plan.port};
    location / {{
      proxy_pass http://rest;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
      proxy_connect_timeout {_CONNECT_SECONDS}s;
      proxy_read_timeout {_ANSWER_SECONDS}s;
    }}
  }}
{_grpc_server(served.plan.grpc_port)}}}
"""


def _grpc_server(port: int | None) -> str:
    if port is None:
        return ""
    return f"""\
  server {{
    listen {port} http2;
    location / {{
      grpc_pass grpc://grpc;
      grpc_connect_timeout {_CONNECT_SECONDS}s;
      grpc_read_timeout {_ANSWER_SECONDS}s;
    }}
  }}
"""


def _upstream(name: str, replicas: Sequence[str], port: int) -> str:
    """`zone` shares what is known of the replicas among all workers.

    Without it, a worker that found no replica while they started would answer 502 for ten more
    seconds.
    """
    servers = "".join(f"    server {r}:{port} fail_timeout={_RETRY_SECONDS}s;\n" for r in replicas)
    return f"""\
  upstream {name} {{
    zone {name} 256k;
    least_conn;
{servers}    keepalive 64;
  }}
"""

"""`tune dashboard`: optuna-dashboard for a study."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    GridOption,
    StorageOption,
    StudyOption,
    opened,
)

_EXPOSED = """\
--host {host} exposes it: whoever reaches port {port} may read all studies of this storage, and
change or DELETE them. There is no password and no TLS. A tunnel is safer: leave --host out and,
on the other machine, run
  ssh -N -L {port}:127.0.0.1:{port} THIS-MACHINE"""


def dashboard(
    study: StudyOption,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8080,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Address to listen on. Any other than the default exposes the studies to the"
            " network, without a password.",
        ),
    ] = "127.0.0.1",
    sampler: GridOption = None,
) -> None:
    """Start optuna-dashboard for a study, finished or running, and print the address of its note.

    Example: tune dashboard --study mnist --port 0
    """
    print("starting optuna-dashboard, which takes some seconds ...", file=sys.stderr)
    from tuner.dashboard.guard import LOOPBACK
    from tuner.dashboard.http_server import dashboard as served
    from tuner.study.storage import open_storage

    chosen = opened(study, storage, backend, sampler=sampler)
    opened_storage = open_storage(chosen.url, create=False)
    with served(chosen.name, opened_storage, chosen.results, host, port) as (server, address):
        if host not in LOOPBACK:
            print(_EXPOSED.format(host=host, port=server.server_port), file=sys.stderr)
        print(f"{address}/note", flush=True)
        print("Ctrl-C ends it.", flush=True)
        server.serve_forever()

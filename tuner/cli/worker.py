"""`tune worker`: let this host measure trials that another process asks for."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from tuner.cli.options import DEFAULT_BACKEND, BackendOption


def worker(
    dask: Annotated[
        str,
        typer.Option(
            metavar="tcp://HOST:8786", help="The Dask scheduler, at the address that it prints."
        ),
    ],
    backend: BackendOption = DEFAULT_BACKEND,
    sends: Annotated[
        bool,
        typer.Option(
            "--sends",
            help="Send the load of trials that another machine deploys (--senders-on), and measure"
            " none here.",
        ),
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="What trials call this host. [default: its host name]")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The address at which the others reach this host. [default: that of the interface"
            " which leads to the scheduler]",
        ),
    ] = None,
) -> None:
    """Measure trials on this host for `tune run --on dask://...`, until Ctrl-C.

    Run it in a directory that has the study's model. The backend is what is looked for here first.
    With --sends it sends for `tune run --senders-on dask://...` instead, and needs no model.

    Example: tune worker --dask tcp://10.0.0.1:8786
    """
    from tuner.backends.dask_worker import check_host, serve_host

    def say(line: str) -> None:
        print(line, flush=True)

    if not sends:
        check_host(backend, say)
    serve_host(dask, name or socket.gethostname(), host, say, sends=sends)

"""A Dask worker that measures: what `tune worker` runs on each host of a cluster."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from tuner.backends.dask_cluster import (
    CONNECT_SECONDS,
    RESOURCE,
    SENDER,
    in_a_line,
    require_dask,
    scheduler_address,
    silence_dask,
)
from tuner.backends.dask_sending_host import end_sending
from tuner.deploy import docker_engine
from tuner.deploy.ownership import sweep
from tuner.errors import SetupError
from tuner.interrupts import SIGNALS

_AGAIN_SECONDS = 2.0
"""So often a worker whose scheduler is gone looks for it."""

_THREADS = 2
"""One measures, and one answers what is asked meanwhile."""


def check_host(backend: str, say: Callable[[str], None]) -> None:
    """Raise SetupError where this host cannot run trials of that backend.

    What dead processes left on its engine is removed.
    """
    if backend != "docker":
        return
    with docker_engine.connect() as client:
        say(f"Docker Engine {client.version()['Version']}, {client.info()['NCPU']} CPUs")
        if removed := sweep(client):
            say(f"removed what ended processes had left: {', '.join(removed)}")


def serve_host(
    scheduler: str, name: str, host: str | None, say: Callable[[str], None], *, sends: bool = False
) -> None:
    """Be the worker `name` of a scheduler until an interrupt; raises KeyboardInterrupt then.

    It measures, or `sends` the load of trials that are measured elsewhere.

    `host` is the address at which others reach this host, by default that of the interface which
    leads to the scheduler. A scheduler that goes away is waited for. When it ends, whatever trials
    have up on this host is removed. Raises SetupError where there is no scheduler, InputError where
    Dask is not installed.
    """
    address = scheduler_address(scheduler)
    require_dask()
    asyncio.run(_serve(address, name, host, say, sends=sends))
    raise KeyboardInterrupt


async def _serve(
    address: str, name: str, host: str | None, say: Callable[[str], None], *, sends: bool
) -> None:
    """Ends by an interrupt, or by an exception."""
    from distributed import Worker  # noqa: PLC0415 -- an extra

    from tuner.backends.dask_host import end_any_run  # noqa: PLC0415

    silence_dask()

    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, interrupted.set)
    host = host or _way_to(address)
    began = False
    while not interrupted.is_set():
        worker = Worker(
            address,
            name=name,
            host=host,
            nthreads=_THREADS,
            resources={SENDER if sends else RESOURCE: 1},
            memory_limit=0,
            death_timeout=CONNECT_SECONDS,
        )
        try:
            await worker
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            with suppress(Exception):
                await worker.close(timeout=1)
            if not began:
                raise _refused(address, name, error) from error
            with suppress(TimeoutError):
                await asyncio.wait_for(interrupted.wait(), _AGAIN_SECONDS)
            continue
        say(
            f"host {name} {'sends' if sends else 'measures'} for {address}"
            + (" again" if began else "; Ctrl-C ends it")
        )
        began = True
        await _first_of(worker.finished(), interrupted.wait())
        # What is under way cleans up after itself; it is measured elsewhere.
        await asyncio.to_thread(end_any_run)
        end_sending()
        if interrupted.is_set():
            await worker.close(timeout=CONNECT_SECONDS)
        else:
            say(f"the scheduler at {address} is gone; waiting for it")


async def _first_of(*waits: object) -> None:
    tasks = [asyncio.ensure_future(w) for w in waits]  # type: ignore[call-overload]
    _, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()


def _way_to(address: str) -> str:
    """The address of the interface of this host that leads to the scheduler."""
    parts = urlsplit(address)
    try:
        family, kind, protocol, _, at = socket.getaddrinfo(
            parts.hostname, parts.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(at)  # of datagrams: nothing is sent
            return str(probe.getsockname()[0])
    except OSError as error:
        raise SetupError(
            f"nothing leads from this host to {address}: {error.strerror or error}",
            "mend the address of the scheduler",
        ) from error


def _refused(address: str, name: str, error: BaseException) -> SetupError:
    # Dask says that a worker did not start; what it has as the cause is why.
    why = error.__cause__ or error
    if "name taken" in str(why):
        return SetupError(
            f"another worker of the scheduler at {address} is called {name}",
            "end that one (each host needs one), or name this one by --name",
        )
    return SetupError(
        f"no Dask scheduler answers at {address}: {in_a_line(why)}",
        "start one (`dask scheduler --host ADDRESS`), or mend the address",
    )

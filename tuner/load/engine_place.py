"""Where the engine runs: its network namespace, its CPUs, its priority, its open files.

Some of this applies to the calling thread and the threads that it starts later, the rest to the
whole process. So it is done before there are other threads.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuner.errors import SetupError, TrialFailed
from tuner.load.wire import Setup

NICE = -10
"""The priority to ask for, because an engine that waits for a CPU does not send on time."""

SPARE_FILES = 64
"""What the engine needs beside its connections."""

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")

AUTOGROUP = Path("/proc/self/autogroup")

_CLONE_NEWNET = 0x40000000


def place_engine(setup: Setup) -> dict[str, Any]:
    """Place this process as `setup` says, and return where it is, JSON-able.

    `cpus` and `nice` are those that it got, `namespace` is `own` or `host`. `refused` lists in
    words what the system did not grant, and is absent where it granted all. Raises TrialFailed
    where the namespace cannot be entered, SetupError where so many connections may not be open.
    """
    allow_files(setup.concurrency)
    if setup.namespace is not None:
        _enter(setup.namespace)
    require_ports(setup.concurrency, len(setup.addresses))
    refused = [*_pin(setup.cpus), *_prefer()]
    return {
        "cpus": sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "namespace": "host" if setup.namespace is None else "own",
    } | ({"refused": refused} if refused else {})


def allow_files(connections: int) -> None:
    """Let this process open so many connections. Raises SetupError where it may not."""
    needed = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    enough = hard == resource.RLIM_INFINITY or hard >= needed
    try:
        # A privileged process may raise the hard limit too.
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard if enough else needed))
    except (ValueError, OSError) as error:
        raise SetupError(
            f"concurrency {connections} needs {needed} open files, the limit is {hard}",
            f"Raise the hard limit (`ulimit -Hn {needed}` as root), or lower the concurrency.",
        ) from error


def require_ports(connections: int, addresses: int) -> None:
    """Raise SetupError where so many connections have too few ports: each one to the same address
    needs another.
    """
    each = -(-connections // addresses)
    try:
        low, high = map(int, PORTS.read_text().split())
    except OSError:  # no Linux
        return
    if each > high - low + 1:
        raise SetupError(
            f"concurrency {connections} needs {each} connections to one replica, and the host has"
            f" {high - low + 1} ports for them",
            "lower the concurrency, or try no fewer replicas than bear it",
        )


def enter_namespace(path: str) -> str:
    """Move the calling thread into the network namespace at `path`.

    Returns why that failed, in words; empty where it worked.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- its descriptor is what is wanted
            entered = libc.setns(file.fileno(), _CLONE_NEWNET) == 0
        why = os.strerror(ctypes.get_errno())
    except (OSError, AttributeError) as error:  # a system without namespaces has no `setns`
        entered, why = False, str(error)
    return "" if entered else why


@contextmanager
def inside_namespace(path: str) -> Iterator[None]:
    """The calling thread is in the network namespace at `path` inside the block.

    A socket stays in the one in which it was opened. Raises TrialFailed where it cannot enter.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(path)
        try:
            yield
        finally:
            _enter(f"/proc/self/fd/{own}")
    finally:
        os.close(own)


def _enter(path: str) -> None:
    if why := enter_namespace(path):
        raise TrialFailed(f"cannot enter the network namespace {path}: {why}")


def _pin(cpus: tuple[int, ...]) -> list[str]:
    if not cpus:
        return []
    try:
        os.sched_setaffinity(0, cpus)
    except (OSError, AttributeError) as error:
        return [f"CPUs {', '.join(map(str, cpus))}: {error}"]
    return []


def _prefer() -> list[str]:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        # Where the kernel schedules sessions as groups (sched(7), "The autogroup feature") a nice
        # value counts only within a session, and the engine is alone in its session.
        if AUTOGROUP.exists():
            AUTOGROUP.write_text(str(NICE))
    except OSError as error:
        return [f"nice {NICE}: {error.strerror}"]
    return []

"""What befell a replica, by what the engine and the kernel say of it. Pure.

Two ends are those of its configuration: it ran out of its memory, for which there must be the
kernel's own evidence, or its server ended by itself. All else is a fault of the world.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tuner.spec.host import MIB

Befallen = Literal[
    "out of memory",
    "own end",
    "host out of memory",
    "killed",
    "paused",
    "removed",
    "restarted",
    "changed",
]

OWN_SIGNALS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGPIPE,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
        signal.SIGXCPU,
        signal.SIGXFSZ,
    }
)
"""The signals by which a process ends through what it does itself."""

AT_LIMIT = 0.9
"""Memory at this share of its limit may have reached it since it was read."""

FIND_IT = (
    "Find what ends, pauses or removes containers on this host (`docker events`): a clean-up job,"
    " another user."
)
"""The mend of what something else did to a container."""

SIGNALLED = 128
"""An exit code of this plus n says that signal n ended the process."""


@dataclass(frozen=True)
class ContainerState:
    """What the engine says of a container now. `started_at` is when it was started last."""

    running: bool
    paused: bool
    exit_code: int
    oom_killed: bool
    started_at: str
    restarts: int

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> ContainerState:
        """From the engine's `GET /containers/<id>/json`."""
        state = attributes["State"]
        return cls(
            running=bool(state["Running"]),
            paused=bool(state.get("Paused")),
            exit_code=int(state["ExitCode"]),
            oom_killed=bool(state.get("OOMKilled")),
            started_at=str(state["StartedAt"]),
            restarts=int(attributes.get("RestartCount") or 0),
        )


@dataclass(frozen=True)
class EngineEvent:
    """Something that the engine says happened to a container, such as `die` or `pause`."""

    action: str
    signal: int | None = None
    exit_code: int | None = None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> EngineEvent:
        """From one object of the engine's `GET /events`."""
        attributes = event.get("Actor", {}).get("Attributes", {})
        # An action may be followed by details, as in `exec_start: sh -c true`.
        action = str(event.get("Action", "")).partition(":")[0]
        return cls(action, _number(attributes.get("signal")), _number(attributes.get("exitCode")))


@dataclass(frozen=True)
class MemoryCount:
    """A control group's memory when it was read last; see `ContainerCounters`."""

    oom_kills: int
    limit_hits: int
    peak_bytes: int
    limit_bytes: int | None

    @property
    def at_limit(self) -> bool:
        if self.limit_bytes is None:
            return False
        return self.limit_hits > 0 or self.peak_bytes >= AT_LIMIT * self.limit_bytes

    def __str__(self) -> str:
        limit = "no limit" if self.limit_bytes is None else f"{self.limit_bytes // MIB} MiB"
        return f"{self.peak_bytes // MIB} MiB of {limit}"


@dataclass(frozen=True)
class ReplicaEvidence:
    """All that is known of a replica.

    `state` is None where the engine no longer has the container. `started_at` and `restarts` are
    those of the start that it was deployed by, `events` all that the engine still knows. `memory`
    is the last reading, None where there was none. `host_oom_kills` is how many processes of the
    host the kernel's OOM killer ended since that start, None where that cannot be read. `stopped`
    is whether a signal halts one of its processes now.
    """

    state: ContainerState | None
    started_at: str
    restarts: int
    events: tuple[EngineEvent, ...] = ()
    memory: MemoryCount | None = None
    host_oom_kills: int | None = None
    stopped: bool = False


@dataclass(frozen=True)
class Ending:
    """What befell a replica, and that in words that follow its name."""

    how: Befallen
    what: str

    @property
    def of_the_configuration(self) -> bool:
        """Whether its configuration explains it; otherwise it is a fault of the world."""
        return self.how in {"out of memory", "own end"}


def ending(of: ReplicaEvidence) -> Ending | None:
    """What befell the replica; None where it runs and nothing did."""
    state = of.state
    if (found := _out_of_memory(of)) is not None:
        return found
    if state is None:
        return Ending("removed", "was removed by something else")
    if state.restarts > of.restarts:
        died = next((e.exit_code for e in of.events if e.action == "die"), None)
        end = _ended(died, of)
        return Ending(end.how, f"{end.what}, and was started again")
    if state.started_at != of.started_at or _any(of.events, "restart"):
        return Ending("restarted", "was restarted by something else")
    return _disturbed(state, of) if state.running else _ended(state.exit_code, of)


def _disturbed(state: ContainerState, of: ReplicaEvidence) -> Ending | None:
    """What befell a replica that runs."""
    sent = _sent(of.events)
    signs: tuple[tuple[bool, Befallen, str], ...] = (
        (state.paused, "paused", "is paused"),
        (_any(of.events, "pause"), "paused", "was paused for a while"),
        (of.stopped, "paused", "is halted by a signal (SIGSTOP)"),
        (sent is not None, "killed", f"was sent {sent}"),
        (_any(of.events, "update"), "changed", "had its limits changed"),
    )
    return next(
        (Ending(how, f"{what} by something else") for seen, how, what in signs if seen), None
    )


def _out_of_memory(of: ReplicaEvidence) -> Ending | None:
    """Whether the kernel's OOM killer ended the replica or one of its processes."""
    state, memory = of.state, of.memory
    ended = state is None or not state.running
    event = "was killed" if ended else "had a process killed"
    own = Ending("out of memory", f"{event} at its memory limit")
    if (state is not None and state.oom_killed) or _any(of.events, "oom"):
        return own
    counted = memory is not None and memory.oom_kills > 0
    if not counted:
        by_kill = state is not None and ended and state.exit_code == SIGNALLED + signal.SIGKILL
        if not by_kill or _sent(of.events) is not None or of.host_oom_kills == 0:
            return None
        if of.host_oom_kills is None and not (memory is not None and memory.at_limit):
            return None
    if memory is None or memory.at_limit:
        return own
    return Ending(
        "host out of memory",
        f"{event} by the kernel at {memory}, below its limit: the host ran out of memory",
    )


def _ended(exit_code: int | None, of: ReplicaEvidence) -> Ending:
    """What ended a replica that did not run out of memory."""
    code = "an exit code that the engine has forgotten"
    if exit_code is not None:
        code = f"exit code {exit_code}"
    if (sent := _sent(of.events)) is not None:
        return Ending("killed", f"was sent {sent} by something else ({code})")
    if exit_code is None:
        return Ending("own end", f"stopped by itself with {code}")
    if exit_code == 0:
        return Ending(
            "killed",
            f"ended in good order ({code}), as a server does that is told to end (SIGTERM)",
        )
    by = _signal(exit_code - SIGNALLED) if exit_code > SIGNALLED else None
    if by is None:
        return Ending("own end", f"stopped by itself with {code}")
    if by in OWN_SIGNALS:
        return Ending("own end", f"crashed with {by.name} ({code})")
    return Ending(
        "killed",
        f"was killed by {by.name} ({code}), not by the kernel's out-of-memory killer:"
        " something else on this host ended it",
    )


def _any(events: Iterable[EngineEvent], action: str) -> bool:
    return any(event.action == action for event in events)


def _sent(events: Iterable[EngineEvent]) -> str | None:
    """The first signal that somebody let the engine send, by name; None where nobody did."""
    for event in events:
        if event.action == "kill":
            known = None if event.signal is None else _signal(event.signal)
            return "a signal" if known is None else known.name
    return None


def _signal(number: int) -> signal.Signals | None:
    return signal.Signals(number) if number in set(signal.Signals) else None


def _number(text: Any) -> int | None:  # noqa: ANN401 -- of a reply
    return int(text) if str(text).isdecimal() else None

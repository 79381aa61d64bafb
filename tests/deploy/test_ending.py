"""What befell a replica, by all that an engine and a kernel may say of it."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.ending import (
    OWN_SIGNALS,
    ContainerState,
    EngineEvent,
    MemoryCount,
    ReplicaEvidence,
    ending,
)

MIB = 2**20
STARTED = "2026-01-01T00:00:00.1Z"
LATER = "2026-01-01T00:00:09.9Z"
RUNS = ContainerState(
    running=True, paused=False, exit_code=0, oom_killed=False, started_at=STARTED, restarts=0
)
HEALTHY = ReplicaEvidence(RUNS, STARTED, 0, host_oom_kills=0)
ROOM = MemoryCount(oom_kills=0, limit_hits=0, peak_bytes=40 * MIB, limit_bytes=256 * MIB)
FULL = replace(ROOM, limit_hits=3, peak_bytes=256 * MIB)
OUTSIDE = ("kill", "pause", "restart", "update")
"""Actions that nothing but somebody else asks the engine for."""


def ended(exit_code: int, *, oom_killed: bool = False) -> ContainerState:
    return replace(RUNS, running=False, exit_code=exit_code, oom_killed=oom_killed)


def told(of: ReplicaEvidence) -> tuple[str, str]:
    found = ending(of)
    assert found is not None
    return found.how, found.what


def test_one_that_runs_undisturbed_has_not_ended() -> None:
    assert ending(HEALTHY) is None
    usual = tuple(map(EngineEvent, ("create", "start", "exec_create", "exec_die", "health_status")))
    assert ending(replace(HEALTHY, events=usual, memory=FULL, host_oom_kills=4)) is None


@pytest.mark.parametrize(
    ("of", "how", "words"),
    [
        (replace(HEALTHY, state=None), "removed", "removed"),
        (replace(HEALTHY, state=replace(RUNS, paused=True)), "paused", "is paused"),
        (replace(HEALTHY, events=(EngineEvent("pause"), EngineEvent("unpause"))), "paused", "was"),
        (replace(HEALTHY, stopped=True), "paused", "SIGSTOP"),
        (replace(HEALTHY, state=replace(RUNS, started_at=LATER)), "restarted", "restarted"),
        (replace(HEALTHY, events=(EngineEvent("restart"),)), "restarted", "restarted"),
        (replace(HEALTHY, events=(EngineEvent("update"),)), "changed", "limits"),
        (replace(HEALTHY, events=(EngineEvent("kill", signal=15),)), "killed", "SIGTERM"),
        (replace(HEALTHY, state=ended(0)), "killed", "told to end"),
        (replace(HEALTHY, state=ended(137)), "killed", "killed by SIGKILL (exit code 137)"),
        (replace(HEALTHY, state=ended(143)), "killed", "SIGTERM"),
        (replace(HEALTHY, state=ended(1)), "own end", "by itself with exit code 1"),
        (replace(HEALTHY, state=ended(255)), "own end", "by itself with exit code 255"),
        (replace(HEALTHY, state=ended(139)), "own end", "crashed with SIGSEGV"),
        (
            replace(HEALTHY, state=ended(139), events=(EngineEvent("kill", signal=11),)),
            "killed",
            "was sent SIGSEGV",
        ),
        (
            replace(HEALTHY, state=ended(0), events=(EngineEvent("kill", signal=15),)),
            "killed",
            "was sent SIGTERM by something else (exit code 0)",
        ),
        (
            replace(
                HEALTHY,
                state=replace(RUNS, restarts=1, started_at=LATER),
                events=(EngineEvent("die", exit_code=3), EngineEvent("start")),
            ),
            "own end",
            "stopped by itself with exit code 3, and was started again",
        ),
        (
            replace(
                HEALTHY,
                state=replace(RUNS, restarts=1, started_at=LATER),
                events=(EngineEvent("die", exit_code=137), EngineEvent("start")),
            ),
            "killed",
            "SIGKILL",
        ),
    ],
)
def test_what_befell_it_is_told(of: ReplicaEvidence, how: str, words: str) -> None:
    found = told(of)
    assert found[0] == how
    assert words in found[1]


@pytest.mark.parametrize(
    "of",
    [
        replace(HEALTHY, state=ended(137, oom_killed=True)),
        replace(HEALTHY, state=ended(137), events=(EngineEvent("oom"),)),
        replace(HEALTHY, state=ended(137), host_oom_kills=1),
        replace(HEALTHY, state=ended(137), host_oom_kills=1, memory=FULL),
        replace(HEALTHY, state=ended(137), host_oom_kills=None, memory=FULL),
        # A process of it was killed, and the server lives on or ends in consequence.
        replace(HEALTHY, memory=replace(FULL, oom_kills=1)),
        replace(HEALTHY, memory=replace(FULL, oom_kills=1), state=ended(1)),
        replace(HEALTHY, state=None, events=(EngineEvent("oom"), EngineEvent("destroy"))),
        # Started again since, by its restart policy or by somebody.
        replace(
            HEALTHY, state=replace(RUNS, restarts=2, started_at=LATER), events=(EngineEvent("oom"),)
        ),
    ],
)
def test_what_the_kernel_says_ran_out_of_memory_did(of: ReplicaEvidence) -> None:
    how, what = told(of)
    assert how == "out of memory"
    assert what.endswith("at its memory limit")


def test_one_that_the_kernel_chose_when_the_host_had_no_memory_is_not_at_its_limit() -> None:
    killed = replace(HEALTHY, state=ended(137), host_oom_kills=1, memory=ROOM)
    assert told(killed)[0] == "host out of memory"
    assert "40 MiB of 256 MiB" in told(killed)[1]
    assert told(replace(HEALTHY, memory=replace(ROOM, oom_kills=1)))[0] == "host out of memory"


@pytest.mark.parametrize("memory", [None, ROOM, FULL])
def test_a_sigkill_without_the_kernels_evidence_is_somebody_elses(
    memory: MemoryCount | None,
) -> None:
    """The host's count has not moved, or the engine was asked for the signal."""
    by_host = replace(HEALTHY, state=ended(137), memory=memory)
    assert told(by_host)[0] == "killed"
    by_engine = replace(by_host, events=(EngineEvent("kill", signal=9),), host_oom_kills=None)
    assert told(by_engine)[0] == "killed"


def test_the_engines_words_are_read() -> None:
    state = {
        "Running": True, "Paused": True, "ExitCode": 0, "OOMKilled": False, "StartedAt": STARTED,
    }  # fmt: skip
    assert ContainerState.of({"State": state, "RestartCount": 2}) == replace(
        RUNS, paused=True, restarts=2
    )
    kill = {"Action": "kill", "Actor": {"Attributes": {"signal": "15", "name": "m"}}}
    assert EngineEvent.of(kill) == EngineEvent("kill", signal=15)
    die = {"Action": "die", "Actor": {"Attributes": {"exitCode": "137"}}}
    assert EngineEvent.of(die) == EngineEvent("die", exit_code=137)
    assert EngineEvent.of({"Action": "exec_start: sh -c x"}) == EngineEvent("exec_start")


codes = st.one_of(
    st.integers(0, 255), st.sampled_from([int(s) + 128 for s in signal.Signals if s < 64])
)
states = st.builds(
    ContainerState,
    running=st.booleans(),
    paused=st.booleans(),
    exit_code=codes,
    oom_killed=st.booleans(),
    started_at=st.sampled_from([STARTED, LATER]),
    restarts=st.integers(0, 2),
)
events = st.builds(
    EngineEvent,
    st.sampled_from(
        ["create", "start", "die", "oom", "stop", "unpause", "destroy", "exec_start", *OUTSIDE]
    ),
    st.none() | st.integers(0, 70),
    st.none() | codes,
)
memories = st.builds(
    MemoryCount,
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 300 * MIB),
    st.none() | st.just(256 * MIB),
)
evidence = st.builds(
    ReplicaEvidence,
    st.none() | states,
    st.just(STARTED),
    st.just(0),
    st.lists(events, max_size=5).map(tuple),
    st.none() | memories,
    st.none() | st.integers(0, 2),
    st.booleans(),
)


def kernels_evidence(of: ReplicaEvidence) -> bool:
    return (
        (of.state is not None and of.state.oom_killed)
        or any(event.action == "oom" for event in of.events)
        or (of.memory is not None and of.memory.oom_kills > 0)
        or bool(of.host_oom_kills)
        or (of.host_oom_kills is None and of.memory is not None and of.memory.at_limit)
    )


@given(evidence)
def test_nothing_runs_out_of_memory_without_the_kernels_evidence(of: ReplicaEvidence) -> None:
    found = ending(of)
    if found is not None and found.how in {"out of memory", "host out of memory"}:
        assert kernels_evidence(of)


@given(evidence)
def test_only_what_it_did_itself_is_blamed_on_the_configuration(of: ReplicaEvidence) -> None:
    """Whatever somebody asked the engine for, or a signal that a process does not send itself."""
    found = ending(of)
    if found is None or kernels_evidence(of) or not found.of_the_configuration:
        return
    assert found.how == "own end"
    assert of.state is not None
    assert not any(event.action == "kill" for event in of.events)
    again = of.state.restarts > of.restarts
    code = next((e.exit_code for e in of.events if e.action == "die"), None)
    code = code if again else of.state.exit_code
    assert code != 0
    assert code is None or code - 128 not in set(signal.Signals) - OWN_SIGNALS


@given(evidence)
def test_only_one_that_runs_as_it_was_started_is_left_alone(of: ReplicaEvidence) -> None:
    if ending(of) is None:
        assert of.state is not None
        assert (of.state.running, of.state.paused, of.state.restarts) == (True, False, 0)
        assert of.state.started_at == of.started_at
        assert not of.stopped
        assert not any(event.action in {"oom", *OUTSIDE} for event in of.events)


@given(evidence)
def test_what_befell_it_is_a_sentence_after_its_name(of: ReplicaEvidence) -> None:
    found = ending(of)
    if found is not None:
        assert found.what.startswith(("was ", "is ", "had ", "stopped ", "crashed ", "ended "))

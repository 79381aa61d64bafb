"""Recorded arrival times: when they are due again, with which request, and how late they are."""

import itertools
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.loopback import OK, QUICK, Start
from tuner.backends.simulated import simulated_backend
from tuner.errors import InputError
from tuner.load.arrivals import Ramp, due_times, first_of_trace, trace_gaps
from tuner.load.sender import LoadGenerator
from tuner.load.study_requests import study_requests, study_trace, with_requests
from tuner.load.trace import replayed, trace_of
from tuner.serving.servers.call import Call
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.study import LoadProfile, LoadSpec
from tuner.trial import TrialRequest

TRACE = replace(QUICK, arrivals="trace", min_seconds=0.4)
times_of_traces = st.lists(st.integers(0, 10**9), min_size=2, max_size=30, unique=True).map(
    lambda counts: [count / 1000 for count in sorted(counts)]
)


@given(times_of_traces, st.integers(0, 50), st.floats(0.1, 100))
def test_a_replay_has_the_recorded_gaps_from_its_start_on_round_and_round(
    times: list[float], seed: int, scale: float
) -> None:
    trace = trace_of(times, "here", scale)
    rate = replayed(LoadProfile(1, LoadSpec(), seed), trace).rate_rps
    assert rate is not None
    gaps = trace_gaps(trace.gaps, seed)
    due = list(itertools.islice(due_times(gaps, [Ramp(math.inf, rate, rate)]), 2 * len(times)))
    span = times[-1] - times[0]
    wrap = span / (len(times) - 1)
    recorded = [wrap, *np.diff(times)]
    first = first_of_trace(len(times), seed)
    expected = np.cumsum([*recorded[first:], *recorded, *recorded[:first]]) / scale
    assert np.allclose(due, expected, rtol=1e-6, atol=1e-9 * span)


def test_a_rate_of_the_study_is_the_mean_rate_of_the_replay() -> None:
    profile = LoadProfile(1, TRACE, 0, rate_rps=50.0)
    assert replayed(profile, trace_of([0, 1, 3], "here")).rate_rps == 50.0


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "has none"),
        ([1.0], "one time"),
        ([2.0, 2.0], "no rate"),
        ([0, 1e-300], "more than 1,000,000 a second"),
    ],
)
def test_what_has_no_rate_cannot_be_replayed(times: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        trace_of(times, "t.jsonl")


def test_requests_are_due_as_recorded_whatever_the_server_does(start: Start) -> None:
    """Ten requests come at once and then none for a while; one connection cannot keep up."""
    bodies = [b'{"n":%d}' % n for n in range(20)]
    times = [0.1 * (n // 10) + 1e-6 * n for n in range(20)]
    target = start(seconds=0.004)
    profile = replayed(LoadProfile(1, TRACE, seed=7), trace_of(times, "here"))
    with LoadGenerator().connect(target, profile, [Call("/", b) for b in bodies]) as client:
        burst = client.run()
    samples = burst.samples
    order = np.argsort(samples.start_ns, kind="stable")
    sent = samples.request[order][samples.request[order] >= 0]
    # Each request in its turn, from the start that the seed draws.
    first = first_of_trace(20, 7)
    assert list(sent) == [(first + n) % 20 for n in range(len(sent))]
    assert target.server.bodies == [bodies[n] for n in sent]
    gaps = np.diff(samples.start_ns[order])
    assert np.count_nonzero(gaps > 50_000_000) >= 2
    # The last of ten that were due together waited for nine answers, and its time says so.
    assert samples.duration_ns.max() > 9 * 4_000_000
    assert (samples.delay_ns <= samples.duration_ns).all()


def test_a_stalled_server_delays_what_was_due_meanwhile(start: Start) -> None:
    def reply(number: int, _: bytes) -> bytes:
        if number == 20:
            time.sleep(0.1)
        return OK

    times = [0.005 * n for n in range(50)]
    profile = replayed(LoadProfile(2, TRACE, seed=1), trace_of(times, "here"))
    with LoadGenerator().connect(start(reply=reply), profile, [Call("/", b"{}")] * 50) as client:
        samples = client.run().samples
    assert np.count_nonzero(samples.duration_ns > 20_000_000) >= 10


def test_a_study_replays_the_requests_beside_it(tmp_path: Path) -> None:
    lines = [{"request": {"instances": [n]}, "at": n * n / 100} for n in range(1, 12)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    path = tmp_path / "mine.yaml"
    path.write_text(
        "model: mnist\nsearch_space: mnist\nbudget: {trials: 1}\n"
        "load: {requests: t.jsonl, arrivals: trace, time_scale: 4, max_seconds: 2}\n"
    )
    study = load_study(str(path), Host.this())
    golden = study_requests(study)
    assert [json.loads(body) for body in golden.bodies] == [line["request"] for line in lines]
    assert golden.answered(0, b'{"predictions": []}', 0.1)
    assert not golden.answered(0, b'{"error": "no"}', 0.1)
    trace = study_trace(study, golden)
    assert trace is not None
    assert trace.rate_rps == pytest.approx(4 * 10 / 1.2)
    with simulated_backend(study) as backend:
        result = backend.run_trial(TrialRequest(study.search_space.baseline(), "0000"))
    assert result.burst is not None
    assert result.burst.rate_rps == pytest.approx(4 * 10 / 1.2)


def test_what_is_no_body_of_predict_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"instances": [1]}\n{"instance": [1]}\n')
    study = load_study("mnist", Host.this())
    load = with_requests(study.load, tmp_path / "t.jsonl", None)
    with pytest.raises(InputError, match="line 2: neither `instances` nor `inputs`"):
        study_requests(replace(study, load=load))

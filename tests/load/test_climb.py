"""One rate after another in one burst, as a search for the capacity of a deployment asks for."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from tests.load.loopback import CALLS, QUICK, Start
from tuner.load.sender import LoadGenerator
from tuner.measure.capacity import Capacity, CapacitySearch
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, RequestOutcome
from tuner.spec.study import Constraint, LoadProfile

SPEC = replace(QUICK, arrivals="constant", max_seconds=1.5, min_seconds=0.3)
FAST = Constraint("p90_ms", "<=", 400.0)
EACH = 0.02
"""Seconds of service; two connections answer 100 requests/s at most."""


@pytest.mark.parametrize("senders", [1, 2])
def test_a_climb_finds_what_two_connections_can_answer(start: Start, senders: int) -> None:
    target = start(seconds=EACH)
    profile = LoadProfile(2, SPEC, seed=7, rate_rps=250.0, senders=senders)
    capacity = Capacity(CapacitySearch(first=250.0), (FAST,))

    def next_rate(burst: Burst | None) -> float | None:
        nonlocal capacity
        if burst is not None:
            measured = measure_burst(burst, 1, SPEC.batch_seconds, needed=(FAST.metric,))
            capacity = capacity.after(measured)
        return capacity.search.next_rate()

    with LoadGenerator().connect(target, profile, CALLS) as client:
        bursts = client.climb(next_rate)
    search = capacity.search
    first = search.steps[0]
    assert search.held is not None
    assert search.held.rate < first.rate == 250.0
    # The timer of a server adds to each answer, so it answers less than 100, never more.
    assert first.answered is not None
    assert first.answered < 120
    assert bursts[0].cut_short.startswith("over-saturated")
    assert [burst.rate_rps for burst in bursts] == [step.rate for step in search.steps]
    for before, after in itertools.pairwise(bursts):
        assert before.window_end_ns <= after.window_start_ns
    # All share the samples, and what one rate left waiting was answered before the next window.
    assert len({id(burst.samples) for burst in bursts}) == 1
    held = bursts[capacity.decisive]
    assert capacity.measurements[capacity.decisive].metrics[FAST.metric].value <= FAST.bound
    assert len(target.server.bodies) == np.count_nonzero(held.samples.outcome == RequestOutcome.OK)

"""The load of one burst, divided between senders and put together again."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.arrivals import GAPS, Ramp, due_times
from tuner.load.calibrate import calibrate_senders, study_level
from tuner.load.division import connections_of, part_of
from tuner.load.ticks import Tick, merged_ticks
from tuner.load.trace import Trace
from tuner.measure.calibration import Calibration
from tuner.measure.measurement import Estimate
from tuner.measure.samples import RequestSamples
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.space import Parameter, SearchSpace
from tuner.spec.study import SenderCount

counts = st.integers(1, 9)


@given(counts, counts, st.integers(0, 200))
def test_connections_are_divided_exactly_at_every_level(
    senders: int, replicas: int, connections: int
) -> None:
    parts = [connections_of(s, senders, connections, replicas) for s in range(senders)]
    assert sorted(itertools.chain(*parts)) == list(range(connections))
    for level in range(connections + 1):
        active = [sum(number < level for number in part) for part in parts]
        assert max(active) - min(active) <= 1
    if connections >= senders * replicas:
        # No sender has the connections to one replica only.
        assert all({n % replicas for n in part} == set(range(replicas)) for part in parts)


def test_five_connections_of_two_senders_are_three_and_two() -> None:
    assert [len(connections_of(sender, 2, 5, 1)) for sender in range(2)] == [3, 2]


stages = st.lists(
    st.builds(Ramp, st.floats(0.1, 2.0), st.floats(0, 200), st.floats(0, 200)),
    min_size=1,
    max_size=3,
)


@given(counts, stages, st.sampled_from(sorted(GAPS)), st.integers(0, 2**32))
def test_the_parts_of_a_schedule_are_the_schedule(
    senders: int, ramps: list[Ramp], arrivals: str, seed: int
) -> None:
    def whole() -> list[float]:
        return list(due_times(GAPS[arrivals](seed), ramps))

    parts = [list(part_of(iter(whole()), sender, senders)) for sender in range(senders)]
    turns = itertools.chain(*itertools.zip_longest(*parts))
    assert [due for due in turns if due is not None] == whole()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def tick(ends: list[int], now_ns: int, sender: int, due: int = 0, late: int = 0) -> Tick:
    """Of requests that end then, each of 5 ns; every third answer is kept, and names its end."""
    n = len(ends)
    return Tick(
        now_ns=now_ns,
        senders=((now_ns, 1000 * sender),),
        samples=RequestSamples(
            start_ns=np.array(ends, np.int64) - 5,
            delay_ns=np.zeros(n, np.int64),
            duration_ns=np.full(n, 5, np.int64),
            status=np.full(n, 200, np.int16),
            outcome=np.zeros(n, np.int8),
            replica=np.zeros(n, np.int16),
            connection=np.full(n, sender, np.int32),
            request=np.zeros(n, np.int32),
        ),
        kept=tuple((i, b"%d of %d" % (ends[i], sender)) for i in range(0, n, 3)),
        due=due,
        late=late,
    )


rows = st.lists(
    st.lists(st.integers(10, 4000), unique=True, max_size=40).map(sorted), min_size=1, max_size=4
)


@given(rows, st.lists(st.integers(0, 60), min_size=4, max_size=4))
def test_merged_ticks_have_each_request_once_in_the_tick_in_which_it_completed(
    ends: list[list[int]], behind: list[int]
) -> None:
    """Senders whose ticks, due every 1000 ns, each come a bit later."""
    rest: list[Tick] = []
    merged: list[Tick] = []
    for number in range(1, 6):
        latest = []
        for sender, mine in enumerate(ends):
            before, now = (max(0, 1000 * n + behind[sender]) for n in (number - 1, number))
            done = [end for end in mine if before * (number > 1) <= end < now]
            latest.append(tick(done, now, sender, due=number, late=sender))
        until = min(t.now_ns for t in latest)
        one, left = merged_ticks(latest, rest, until)
        merged.append(one)
        rest = [left]
        assert (one.now_ns, one.due, one.late) == (
            1000 * number + min(behind[: len(ends)]),
            number * len(ends),
            sum(range(len(ends))),
        )
        assert [cpu for _, cpu in one.senders] == [1000 * s for s in range(len(ends))]
        assert one.cpu_ns == sum(1000 * s for s in range(len(ends)))
    assert not len(rest[0].samples)
    found = []
    began = 0
    for one in merged:
        end = (one.samples.start_ns + one.samples.duration_ns).tolist()
        assert end == sorted(end)
        assert all(began <= e < one.now_ns for e in end)
        began = one.now_ns
        senders = one.samples.connection.tolist()
        found += list(zip(end, senders, strict=True))
        for position, body in one.kept:
            assert body == b"%d of %d" % (end[position], senders[position])
    assert sorted(found) == sorted((e, s) for s, mine in enumerate(ends) for e in mine)
    assert sum(len(one.kept) for one in merged) > 0 or not any(ends)


def calibration(senders: int, capacity: float) -> Calibration:
    return Calibration(Estimate(0.2), Estimate(capacity), 64, 40.0, None, senders)


@pytest.mark.parametrize(
    ("asked", "level", "most", "tried", "used"),
    [
        ("auto", None, 8, [1], 1),  # nobody knows the rate of a closed loop
        ("auto", 5000.0, 8, [1], 1),
        ("auto", 5001.0, 8, [1, 2], 2),
        ("auto", 17_000.0, 8, [1, 4], 4),
        ("auto", 90_000.0, 8, [1, 8], 8),  # as far as it goes
        ("auto", 90_000.0, 1, [1], 1),
        (3, 10.0, 1, [3], 3),
    ],
)
def test_as_few_senders_as_can_send_the_level(
    asked: SenderCount, level: float | None, most: int, tried: list[int], used: int
) -> None:
    asked_for: list[int] = []

    def measured(senders: int) -> Calibration:
        asked_for.append(senders)
        return calibration(senders, 10_000.0 * senders)

    found = calibrate_senders(measured, asked, level, most)
    assert found is not None
    assert (asked_for, found.senders) == (tried, used)


def test_senders_that_do_not_add_up_are_tried_again_until_they_do() -> None:
    """Each further one has less than the one before, as on a host that becomes full."""
    capacities = {1: 10_000.0, 2: 14_000.0, 3: 17_000.0, 4: 17_000.0}
    found = calibrate_senders(lambda n: calibration(n, capacities[n]), "auto", 8000.0, 4)
    assert found is not None
    assert found.senders == 3
    found = calibrate_senders(lambda n: calibration(n, capacities[n]), "auto", 9000.0, 4)
    assert found is not None
    assert found.senders == 3


def test_without_anything_to_calibrate_against_nothing_is_known() -> None:
    assert calibrate_senders(lambda _: None, "auto", 1e6, 8) is None
    assert calibrate_senders(lambda _: None, 2, 1e6, 8) is None


def test_fewer_senders_than_were_calibrated_are_trusted_with_less() -> None:
    found = calibration(4, 40_000.0)
    assert [found.honest_rps(n) for n in (1, 2, 4)] == [5000, 10_000, 20_000]
    assert found.honest_rps() == 20_000


def test_the_level_of_a_study_is_its_highest_rate() -> None:
    closed = load_study("mnist", Host.this())
    assert study_level(closed, None) is None
    trace = Trace((1.0, 1.0), 70.0)
    assert study_level(closed, trace) == 70.0
    ranged = Parameter("rate", "float", "scenario", 50.0, low=10.0, high=900.0)
    chosen = Parameter("rate", "int", "scenario", 50, choices=(50, 400))
    for parameter, level in ((ranged, 900.0), (chosen, 400.0)):
        space = SearchSpace((*closed.search_space, parameter))
        assert study_level(replace(closed, search_space=space), trace) == level

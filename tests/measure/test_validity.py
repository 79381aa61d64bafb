from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.measure.bursts import (
    CALIBRATION,
    closed_loop,
    ending,
    open_loop,
    with_outcomes,
)
from tuner.measure.measurement import Estimate, Finding, Measurement, Verdict
from tuner.measure.measuring import measure_burst
from tuner.measure.samples import Burst, Drops, RequestOutcome
from tuner.measure.stopping import CAPPED
from tuner.measure.validity import SHARE_LIMITS, CheckedBurst, findings


def evidence(burst: Burst | None = None, /, **metrics: float) -> CheckedBurst:
    """A burst that nothing is wrong with, its window, and some metrics."""
    burst = burst or closed_loop()
    end = burst.samples.start_ns + burst.samples.duration_ns
    window = burst.samples.select((end >= burst.window_start_ns) & (end < burst.window_end_ns))
    return CheckedBurst(burst, window, {name: Estimate(value) for name, value in metrics.items()})


def verdict(found: tuple[Finding, ...]) -> Verdict:
    assert len(found) <= 1, found
    return found[0].verdict if found else "VALID"


def verdicts(measurement: Measurement) -> list[tuple[Verdict, str]]:
    return [(f.verdict, " ".join(f.what.split()[:3])) for f in measurement.findings]


def measured(burst: Burst) -> Measurement:
    return measure_burst(burst, host_cpus=4, batch_seconds=0.25)


def test_a_burst_without_fault_has_no_finding() -> None:
    assert findings(evidence()) == ()
    assert findings(evidence(open_loop())) == ()


@pytest.mark.parametrize("name", SHARE_LIMITS)
def test_a_share_is_doubted_above_its_limit_and_refused_above_the_other(name: str) -> None:
    limits = SHARE_LIMITS[name]
    assert [
        verdict(findings(evidence(**{name: value})))
        for value in (0, limits.warn, limits.warn + 0.01, limits.invalid, limits.invalid + 0.01)
    ] == ["VALID", "VALID", "WARN", "WARN", "INVALID"]


def test_the_shares_are_those_that_a_burst_measures() -> None:
    assert set(SHARE_LIMITS) <= set(measured(closed_loop()).metrics)


def test_major_faults_are_doubted() -> None:
    assert findings(evidence(major_faults_per_s=5)) == ()
    assert verdict(findings(evidence(major_faults_per_s=5.1))) == "WARN"
    assert verdicts(measured(ending(closed_loop(), 0, major_faults=24))) == [
        ("WARN", "6 major page")
    ]


@pytest.mark.parametrize(("requests", "expected"), [(0, "INVALID"), (49, "WARN"), (50, "VALID")])
def test_few_requests_are_doubted(requests: int, expected: Verdict) -> None:
    """An open loop: no law says how many a closed one must have."""
    burst = open_loop()
    end = burst.samples.start_ns + burst.samples.duration_ns
    failed = np.flatnonzero(end >= burst.window_start_ns)[requests:]
    rest = with_outcomes(burst, dict.fromkeys(failed.tolist(), RequestOutcome.RESET))
    found = [f for f in findings(evidence(rest)) if "reset" not in f.what]
    assert verdict(tuple(found)) == expected


def test_an_empty_burst_is_invalid() -> None:
    burst = closed_loop()
    nothing = burst.samples.select(np.zeros(len(burst.samples), bool))
    assert verdict(findings(evidence(replace(burst, samples=nothing)))) == "INVALID"


def test_an_imprecise_window_is_doubted() -> None:
    burst = replace(closed_loop(), stop_reason=f"{CAPPED} of 8 s: ART known to 9 %")
    assert verdicts(measured(burst)) == [("WARN", "the window ended")]


def test_a_silent_connection_is_doubted_in_a_closed_loop_only() -> None:
    silent = closed_loop(concurrency=64, response_ms=40)
    silent = replace(silent, samples=silent.samples.select(silent.samples.connection != 3))
    assert verdicts(measured(silent)) == [("WARN", "1 of 64")]
    enough = open_loop()  # of four connections, one is enough at this rate
    lone = replace(enough, samples=enough.samples.select(enough.samples.connection == 0))
    assert findings(evidence(lone)) == ()


@pytest.mark.parametrize("outcome", [o for o in RequestOutcome if o is not RequestOutcome.OK])
def test_errors_are_counted_by_how_they_ended(outcome: RequestOutcome) -> None:
    found = findings(evidence(with_outcomes(open_loop(), {200: outcome, 201: outcome})))
    if outcome is RequestOutcome.NOT_SENT:
        assert found == (), "what was not sent is late, not an error of the server"
        return
    name = outcome.name.lower().replace("_", " ")
    assert found[0].what == f"2 of 400 requests: {name}"
    assert verdict(found) == ("INVALID" if outcome is RequestOutcome.WRONG_ANSWER else "WARN")


@pytest.mark.parametrize(
    ("gap_ms", "expected"),
    [(0, "VALID"), (0.3, "VALID"), (0.35, "WARN"), (1.0, "WARN"), (1.2, "INVALID")],
)
def test_idle_connections_break_littles_law(gap_ms: float, expected: Verdict) -> None:
    """Connections of 10 ms requests are busy 97.1, 96.6, 90.9 and 89.3 % of the time."""
    assert verdict(measured(closed_loop(gap_ms=gap_ms)).findings) == expected


@pytest.mark.parametrize(("asked", "expected"), [(100, "VALID"), (98, "VALID"), (97, "INVALID")])
def test_more_in_flight_than_connections_breaks_littles_law(asked: int, expected: Verdict) -> None:
    """Of 100 in flight only `asked` were asked for: 102.0 and 103.1 %."""
    burst = replace(closed_loop(concurrency=100), concurrency=asked)
    assert verdict(findings(evidence(burst))) == expected


def test_long_requests_at_the_edges_are_told_from_idle_connections() -> None:
    burst = closed_loop(concurrency=1, response_ms=900, seconds=20, window=(0.95, 4.4))
    little = [f for f in findings(evidence(burst)) if "Little" in f.what]
    assert [f.verdict for f in little] == ["WARN"]
    assert "edges" in little[0].what


def test_an_open_loop_is_not_asked_to_keep_its_connections_busy() -> None:
    assert findings(evidence(open_loop(rate_rps=20, concurrency=64))) == ()
    assert verdict(findings(evidence(closed_loop(gap_ms=90)))) == "INVALID"


@pytest.mark.parametrize(("percent", "expected"), [(1.0, "VALID"), (1.1, "WARN")])
def test_late_requests_of_an_open_loop_are_doubted(percent: float, expected: Verdict) -> None:
    assert verdict(findings(evidence(open_loop(), late_percent=percent))) == expected


@pytest.mark.parametrize(
    ("concurrency", "wait_ms", "why"),
    [
        (4, 3, "connections were free, but the load engine had no CPU"),
        (1, 8, "no connection was free"),
    ],
)
def test_why_requests_are_late_is_told(concurrency: int, wait_ms: int, why: str) -> None:
    """One is due every 10 ms, and takes 10 ms once it is sent: all wait for as long."""
    burst = open_loop(rate_rps=100, concurrency=concurrency)
    wait = np.full(len(burst.samples), wait_ms * 1_000_000)
    samples = burst.samples
    late = replace(samples, delay_ns=wait, duration_ns=samples.duration_ns + wait)
    (found,) = findings(evidence(replace(burst, samples=late), late_percent=100.0))
    assert found.what == f"100.0 % of the requests were sent late: {why}"


@pytest.mark.parametrize(
    ("answered", "expected"), [(100.0, "VALID"), (95.0, "VALID"), (94.9, "WARN")]
)
def test_an_open_loop_whose_backlog_grows_is_doubted(answered: float, expected: Verdict) -> None:
    open_ = findings(evidence(open_loop(rate_rps=100), throughput_rps=answered))
    assert verdict(open_) == expected
    assert findings(evidence(closed_loop(), throughput_rps=answered)) == ()


def test_too_few_answers_by_chance_are_no_backlog() -> None:
    seen = evidence(open_loop(rate_rps=100))
    few = replace(seen, metrics={**seen.metrics, "throughput_rps": Estimate(93.0, 85.0, 101.0)})
    assert findings(few) == ()


@pytest.mark.parametrize(("rate", "expected"), [(10_000, "VALID"), (10_100, "INVALID")])
def test_above_half_of_the_load_engines_capacity_nothing_is_said_of_the_server(
    rate: float, expected: Verdict
) -> None:
    seen = replace(evidence(throughput_rps=rate), calibration=CALIBRATION)
    assert verdict(findings(seen)) == expected
    assert findings(evidence(throughput_rps=rate)) == (), "not calibrated"


def test_two_senders_can_be_trusted_with_twice_as_much_of_what_two_were_calibrated_for() -> None:
    two = replace(CALIBRATION, capacity_rps=Estimate(40_000.0), senders=2)
    seen = replace(evidence(throughput_rps=15_000), calibration=two)
    (found,) = findings(seen)  # of one sender
    assert found.what == "75% of the load engine's capacity was used"
    assert found.remedy.startswith("Set load.senders: 2 where")
    both = replace(
        seen.burst,
        client_start=2 * seen.burst.client_start,
        client_end=2 * seen.burst.client_end,
    )
    assert findings(replace(seen, burst=both)) == ()


def test_how_much_others_may_take_is_the_studys_to_say() -> None:
    seen = evidence(foreign_percent=30)
    assert verdict(findings(seen)) == "INVALID"
    assert verdict(findings(replace(seen, max_foreign_percent=40))) == "WARN"


def lossy(packets: int, dropped: int, asked: float, replica: int = 0) -> tuple[Finding, ...]:
    drops = (Drops(replica, "in", asked, packets, dropped),)
    return findings(replace(evidence(), drops=drops))


@pytest.mark.parametrize("asked", [0.1, 0.5, 1, 2, 5, 20])
def test_counters_of_the_asked_loss_are_practically_never_refused(asked: float) -> None:
    """At a chance of 1e-5 each: less than one in 18,000 draws, the numbers of packets mixed."""
    rng = np.random.default_rng(round(10 * asked))
    packets = np.rint(10 ** rng.uniform(0, 6, 3000)).astype(int)
    dropped = rng.binomial(packets, asked / 100)
    drops = tuple(
        Drops(0, "in", asked, int(n), int(k)) for n, k in zip(packets, dropped, strict=True)
    )
    assert findings(replace(evidence(), drops=drops)) == ()


@given(st.floats(0.05, 20), st.integers(0, 2**32), st.floats(1, 1000), st.sampled_from([0, 2]))
def test_counters_of_another_loss_are_always_refused(
    asked: float, seed: int, more: float, factor: int
) -> None:
    """No loss or double of it, where 300 drops or more are expected."""
    packets = round(300 * more / (asked / 100))
    dropped = int(np.random.default_rng(seed).binomial(packets, factor * asked / 100))
    assert verdict(lossy(packets, dropped, asked)) == "INVALID"


def test_few_packets_cannot_tell_one_loss_from_another() -> None:
    assert lossy(packets=40, dropped=0, asked=1) == ()
    assert lossy(packets=40, dropped=2, asked=1) == ()


def test_a_drop_that_was_not_asked_for_is_refused() -> None:
    assert verdict(lossy(packets=1000, dropped=1, asked=0)) == "INVALID"
    assert lossy(packets=1000, dropped=0, asked=0) == ()


def test_a_rule_that_sees_no_packet_of_an_answering_replica_is_refused() -> None:
    found = lossy(packets=0, dropped=0, asked=1, replica=1)
    assert verdict(found) == "INVALID"
    assert "does not see the traffic" in found[0].what
    assert lossy(packets=0, dropped=0, asked=1, replica=2) == (), "it got no request"


def test_counters_that_contradict_each_other_are_refused() -> None:
    assert verdict(lossy(packets=10, dropped=11, asked=50)) == "INVALID"


def test_every_rule_is_checked() -> None:
    drops = (
        Drops(0, "in", 1, 10_000, 100),
        Drops(0, "out", 1, 10_000, 300),
        Drops(1, "in", 1, 10_000, 30),
        Drops(1, "out", 1, 10_000, 100),
    )
    found = findings(replace(evidence(), drops=drops))
    assert [f.what.split(":")[0] for f in found] == ["replica 0 out", "replica 1 in"]


def test_every_finding_has_a_remedy() -> None:
    shares = {name: share.invalid + 1 for name, share in SHARE_LIMITS.items()}
    outcomes = {900 + o: o for o in RequestOutcome if o is not RequestOutcome.NOT_SENT}
    closed = replace(closed_loop(gap_ms=5), stop_reason=CAPPED)
    seen = replace(
        evidence(
            with_outcomes(closed, outcomes),
            **shares,
            throughput_rps=19_000,
            major_faults_per_s=9,
        ),
        drops=(Drops(0, "in", 1, 0, 0), Drops(0, "out", 1, 1000, 900)),
        calibration=CALIBRATION,
    )
    open_ = evidence(open_loop(), late_percent=9, throughput_rps=9)
    found = [*findings(seen), *findings(open_)]
    assert len(found) == 1 + 4 + 1 + len(SHARE_LIMITS) + 1 + 2 + 1 + 2
    assert all(f.remedy.endswith(".") for f in found)
    assert len({f.what for f in found}) == len(found)


def test_the_worst_finding_is_the_verdict() -> None:
    warn, invalid = Finding("WARN", "slow", "Wait."), Finding("INVALID", "wrong", "Mend.")
    none = measured(closed_loop())
    assert none.verdict == "VALID"
    assert replace(none, findings=(warn,)).verdict == "WARN"
    assert replace(none, findings=(warn, invalid, warn)).verdict == "INVALID"

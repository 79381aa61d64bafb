from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.measure.statistics import Batches, art, relative_half_width
from tuner.measure.stopping import (
    CAPPED,
    LossSoFar,
    has_settled,
    to_be_known,
    warm_up,
    window,
)
from tuner.spec.study import KnownLoss, LoadProfile, LoadSpec

SPEC = LoadSpec(min_seconds=2, max_seconds=8, min_requests=500, precision=0.05)


def batches(means: list[float], count: int = 100) -> Batches:
    counts = np.full(len(means), float(count))
    return Batches(counts, counts * np.array(means))


def test_a_decaying_response_time_has_not_settled() -> None:
    decay = np.array([5 + 50 * 0.6**k for k in range(6)])
    assert not has_settled(decay)
    assert has_settled(np.concatenate([decay, np.full(8, 5.0)]))


def test_a_steady_response_time_has_settled_at_once() -> None:
    assert has_settled(np.full(6, 2.0))
    assert not has_settled(np.full(5, 2.0))


def test_noise_seldom_delays_settling() -> None:
    rng = np.random.default_rng(3)
    waits = []
    for _ in range(200):
        means = rng.normal(10, 1, 40)
        waits.append(next(k for k in range(6, 41) if has_settled(means[:k])))
    assert np.mean(np.array(waits) <= 10) > 0.8


def test_a_lone_slow_start_is_cut_off() -> None:
    assert has_settled(np.array([400.0, 2.1, 2.0, 2.2, 2.0, 2.1, 2.0, 2.1]))


def test_each_replica_must_have_completed_two_requests() -> None:
    steady = batches([2.0] * 8)
    assert not warm_up(steady, fewest=1, seconds=2, spec=SPEC).done
    assert warm_up(steady, fewest=2, seconds=2, spec=SPEC).done
    assert not warm_up(steady, fewest=0, seconds=SPEC.warmup_max_seconds, spec=SPEC).done
    silent = warm_up(steady, fewest=0, seconds=3 + 2 * SPEC.timeout_seconds, spec=SPEC)
    assert silent.done
    assert "0 requests" in silent.reason


def test_warm_up_is_capped() -> None:
    drifting = batches([50, 40, 30, 20, 10, 5])
    assert not warm_up(drifting, fewest=9, seconds=2.9, spec=SPEC).done
    late = warm_up(drifting, fewest=9, seconds=3.0, spec=SPEC)
    assert late.done
    assert "not settled" in late.reason


def test_the_window_ends_when_the_mean_is_known() -> None:
    steady = batches([2.0, 2.01] * 4)
    assert not window(steady, 0, 1.75, SPEC, None).done
    end = window(steady, 0, 2.0, SPEC, None)
    assert end.done
    assert not end.reason.startswith(CAPPED)


def test_the_window_waits_for_requests_and_precision() -> None:
    few = window(batches([2.0, 2.01] * 4, count=10), 0, 2.0, SPEC, None)
    assert (few.done, few.reason) == (False, "420 more requests")
    wide = window(batches([1.0, 9.0] * 4), 0, 2.0, SPEC, None)
    assert not wide.done


def test_the_window_is_capped() -> None:
    end = window(batches([1.0, 9.0] * 16, count=3), 0, 8.0, SPEC, None)
    assert end.done
    assert end.reason.startswith(CAPPED)
    assert "96 of 500 requests" in end.reason


@pytest.mark.parametrize(("other", "doubted"), [(2.4, False), (2.6, True)])
def test_a_window_that_ended_near_what_was_asked_is_no_doubt(other: float, doubted: bool) -> None:
    """Of the interval's half width, 5 % is asked: it is 8 and 12 % here."""
    end = window(batches([2.0, other] * 4), 0, 8.0, SPEC, None)
    assert end.done
    assert end.reason.startswith(CAPPED) == doubted
    assert "asked for 5.0%" in end.reason


def test_nothing_but_errors_ends_the_window() -> None:
    nothing = Batches(np.zeros(8), np.zeros(8))
    assert window(nothing, 7, 2.0, SPEC, None).done
    assert not window(nothing, 0, 2.0, SPEC, None).done
    assert window(nothing, 0, 8.0, SPEC, None).done


def test_under_loss_the_window_waits_for_responses_that_it_delayed() -> None:
    """The few responses that wait for a retransmission decide a mean: some must have been seen."""
    precise = batches([2.0, 2.01] * 8)
    waiting = window(precise, 0, 4.0, SPEC, slow=10)
    assert (waiting.done, waiting.reason) == (
        False,
        "40 more responses delayed by lost packets",
    )
    assert window(precise, 0, 4.0, SPEC, slow=SPEC.min_slow).done
    assert window(precise, 0, 4.0, SPEC, slow=None).done, "no packet is lost"
    capped = window(precise, 0, 8.0, SPEC, slow=10)
    assert capped.done
    assert capped.reason.startswith(CAPPED)
    assert "10 of 50 delayed by lost packets" in capped.reason
    assert window(Batches(np.zeros(8), np.zeros(8)), 7, 2.0, SPEC, slow=0).done


def test_a_study_may_ask_for_no_slow_response() -> None:
    indifferent = replace(SPEC, min_slow=0)
    assert window(batches([2.0, 2.01] * 8), 0, 4.0, indifferent, slow=0).done


@given(
    st.lists(st.tuples(st.integers(0, 500), st.floats(0.1, 100)), min_size=1, max_size=40),
    st.integers(0, 100),
    st.floats(0, 10),
    st.none() | st.integers(0, 100),
)
def test_a_window_that_may_end_fulfils_the_rule(
    some: list[tuple[int, float]], errors: int, seconds: float, slow: int | None
) -> None:
    counts = np.array([n for n, _ in some], float)
    seen = Batches(counts, counts * np.array([mean for _, mean in some]))
    decision = window(seen, errors, seconds, SPEC, slow)
    assert decision.reason
    precise = relative_half_width(art(seen)) <= SPEC.precision
    affected = slow is None or slow >= SPEC.min_slow
    enough = counts.sum() >= SPEC.min_requests and precise and affected
    failed = not counts.sum() and errors > 0
    long = seconds >= SPEC.min_seconds
    assert decision.done == (seconds >= SPEC.max_seconds or (long and (enough or failed)))
    if decision.done and not failed:
        near = (
            relative_half_width(art(seen)) <= 2 * SPEC.precision
            and 2 * counts.sum() >= SPEC.min_requests
            and (slow is None or 2 * slow >= SPEC.min_slow)
        )
        assert decision.reason.startswith(CAPPED) == (not near)


def test_reasons_are_words() -> None:
    reason = window(batches([2.0, 2.2] * 4), 0, 2.0, SPEC, None).reason
    assert "ART known to " in reason


def test_without_loss_art_is_to_be_known() -> None:
    whole = batches([5.0] * 8)
    known = to_be_known(whole, None, LoadProfile(4, SPEC, 0, known_loss=KnownLoss(4.0, 0.1)))
    assert (known.batches, known.slow, known.mean) == (whole, None, "ART")


def test_where_the_study_knows_the_loss_the_undelayed_mean_is_enough() -> None:
    whole, undelayed = batches([5.0, 25.0] * 4), batches([3.0, 3.1] * 4)
    loss = LossSoFar(16, 0, undelayed)

    def rule(known: KnownLoss | None, loss: LossSoFar = loss) -> tuple[Batches, int | None]:
        asked = to_be_known(whole, loss, LoadProfile(4, SPEC, 0, lossy=True, known_loss=known))
        return asked.batches, asked.slow

    assert rule(KnownLoss(4.0, 0.3)) == (undelayed, None)
    assert rule(None) == (whole, 16), "nothing is known"
    assert rule(KnownLoss(4.0, 0.4)) == (whole, 16), "5 % of 7 ms are less"
    assert rule(KnownLoss(4.0, 0.3), replace(loss, unclear=5)) == (whole, 16)
    asked = to_be_known(whole, loss, LoadProfile(4, SPEC, 0, known_loss=KnownLoss(4.0, 0.3)))
    decision = window(asked.batches, 0, 2.4, SPEC, asked.slow, asked.mean)
    assert decision.done
    assert decision.reason.startswith("ART without lost packets known to 1")

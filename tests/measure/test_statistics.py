import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from scipy.stats import t as student

from tests.measure.bursts import samples
from tuner.measure.samples import RequestOutcome
from tuner.measure.statistics import (
    MOST_BATCHES,
    Batches,
    around,
    art,
    batches,
    fewest_samples,
    mean,
    percentile,
    proportion,
    rate,
    ratio,
    relative_half_width,
    scarce_percentile,
)


def test_a_request_is_in_the_batch_in_which_it_completes() -> None:
    found = batches(
        samples([99, 100, 109, 110, 119, 125], [10**6] * 6, [0, 0, 0, 0, RequestOutcome.RESET, 0]),
        start_ns=100,
        end_ns=128,
        span_ns=10,
    )
    assert found.count.tolist() == [2, 1]
    assert found.total_ms.tolist() == [2, 1]


def test_a_window_shorter_than_a_batch_has_none() -> None:
    assert len(batches(samples([5], [1], [0]), 0, 9, 10)) == 0


def test_a_timer_that_rings_a_little_early_costs_no_batch() -> None:
    span = 300_000_000
    for end, spans in ((3 * span - 2_000_000, 3), (3 * span + 2_000_000, 3), (2.5 * span, 2)):
        assert len(batches(samples([5], [1], [0]), 0, round(end), span)) == spans


def test_equal_batches_give_the_textbook_interval() -> None:
    means = np.array([4.0, 5.0, 6.0, 9.0])
    found = art(Batches(np.full(4, 10.0), means * 10))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    half = student.ppf(0.975, 3) * means.std(ddof=1) / 2
    assert found.value == pytest.approx(6)
    assert found.high - found.value == pytest.approx(half)
    assert found.low == pytest.approx(max(0, 6 - half))


def test_every_request_weighs_the_same_in_the_mean() -> None:
    found = art(Batches(np.array([1.0, 99.0]), np.array([100.0, 99.0])))
    assert found is not None
    assert found.value == pytest.approx(1.99)


def test_without_requests_there_is_no_mean() -> None:
    assert art(Batches(np.zeros(3), np.zeros(3))) is None
    assert relative_half_width(None) == math.inf


def test_one_batch_has_no_interval() -> None:
    found = art(Batches(np.array([2.0]), np.array([6.0])))
    assert found is not None
    assert (found.value, found.low, found.high) == (3, None, None)
    assert relative_half_width(found) == math.inf


def test_a_ratio_of_two_sums_by_hand() -> None:
    """R = 15 / 6; residuals 0.5, -1, 0.5; so its error is sqrt((1.5 / 2) / 3) / 2 = 0.25."""
    found = ratio(np.array([3.0, 4.0, 8.0]), np.array([1.0, 2.0, 3.0]))
    assert found is not None
    assert found.value == 2.5
    assert found.high == pytest.approx(2.5 + 4.302653 * 0.25)
    assert found.low == pytest.approx(2.5 - 4.302653 * 0.25)


def test_a_steady_ratio_is_known_exactly() -> None:
    over = np.array([1.0, 5.0, 2.0])
    found = ratio(3 * over, over)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((3, 3, 3))
    assert ratio(over, np.zeros(3)) is None


batch_lists = st.lists(
    st.tuples(st.integers(0, 1000), st.floats(0.01, 1e4)), min_size=1, max_size=200
).map(
    lambda some: Batches(
        np.array([n for n, _ in some], float), np.array([n * mean for n, mean in some], float)
    )
)


@given(batch_lists)
def test_the_interval_holds_the_mean_of_all_requests(some: Batches) -> None:
    found = art(some)
    assert (found is None) == (not some.count.sum())
    if found is not None:
        assert found.value == pytest.approx(some.total_ms.sum() / some.count.sum())
        assert (found.low is None) == (len(some) == 1)
        if found.low is not None and found.high is not None:
            assert 0 <= found.low <= found.value <= found.high


@given(batch_lists)
def test_paired_batches_hold_the_same_requests_but_an_odd_first_one(some: Batches) -> None:
    paired, odd = some.paired(), len(some) % 2
    assert len(paired) == len(some) // 2
    assert paired.count.sum() == some.count[odd:].sum()
    assert paired.total_ms.sum() == pytest.approx(some.total_ms[odd:].sum())


def test_many_short_batches_are_joined() -> None:
    """Batches that swing in pairs: alone they look unsteady, two by two they are alike."""
    swinging = np.array([1.0, 3.0] * (MOST_BATCHES // 2))
    joined = ratio(swinging, np.ones(MOST_BATCHES))
    assert joined is not None
    assert (joined.value, joined.low, joined.high) == (2, 2, 2)
    alone = ratio(swinging[:-2], np.ones(MOST_BATCHES - 2))
    assert alone is not None
    assert alone.low is not None
    assert alone.low < 1.9


@pytest.mark.parametrize("batches_of_a_window", [8, 27, 80])
def test_a_ratios_interval_holds_the_truth_about_as_often_as_it_says(
    batches_of_a_window: int,
) -> None:
    """A closed loop's batches: the slower they are, the fewer requests they hold."""
    rng = np.random.default_rng(7)
    repeats, hits = 500, 0
    for _ in range(repeats):
        slowness = rng.gamma(16, 1 / 16, batches_of_a_window)
        count = rng.poisson(100 / slowness)
        total = rng.gamma(count, 5 * slowness)  # the sum of so many exponential times
        found = ratio(total, count.astype(float))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        # Expected total over expected count, by E[1 / slowness] = 16 / 15.
        hits += found.low <= 5 * 15 / 16 <= found.high
    assert 0.925 <= hits / repeats <= 0.975


@given(st.floats(0.1, 100), batch_lists)
def test_a_whole_windows_value_takes_the_width_of_its_batches(value: float, some: Batches) -> None:
    of_batches = art(some)
    found = around(value, of_batches)
    assert found.value == value
    if of_batches is None or of_batches.high is None:
        assert found.high is None
    else:
        assert found.high == pytest.approx(value + of_batches.high - of_batches.value)
        assert found.low is not None
        assert 0 <= found.low <= value


@pytest.mark.parametrize("lag", [0.0, 0.5])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(lag: float) -> None:
    """AR(1) response times, known mean: 50 a batch, 16 batches, the i.i.d. interval beside it."""
    rng = np.random.default_rng(1)
    repeats, n, truth = 400, 800, 10.0
    noise = rng.normal(size=(repeats, n + 50))
    for i in range(1, n + 50):
        noise[:, i] += lag * noise[:, i - 1]
    times = truth + noise[:, 50:]
    hits = iid_hits = 0
    for row in times:
        found = art(Batches(np.full(16, 50.0), row.reshape(16, 50).sum(axis=1)))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
        iid_hits += abs(row.mean() - truth) <= 1.96 * row.std(ddof=1) / math.sqrt(n)
    assert 0.91 <= hits / repeats <= 0.98
    if lag:
        assert iid_hits / repeats < 0.85


def test_rate_has_the_interval_of_its_counts() -> None:
    counts = np.array([90.0, 110.0, 100.0, 100.0])
    found = rate(Batches(counts, counts), span_seconds=0.5, value=200.0)
    assert found.high is not None
    half = student.ppf(0.975, 3) * counts.std(ddof=1) / 2 / 0.5
    assert found.high - 200 == pytest.approx(half)


def test_the_mean_of_independent_values_has_the_textbook_interval() -> None:
    values = [4.0, 5.0, 6.0, 9.0]
    found = mean(values)
    half = student.ppf(0.975, 3) * np.std(values, ddof=1) / 2
    assert found.value == 6
    assert (found.low, found.high) == pytest.approx((6 - half, 6 + half))
    assert mean([3.0]).low is None


def test_fewest_samples_are_those_of_the_benchmark_rule() -> None:
    assert fewest_samples(0.90) == 64
    assert fewest_samples(0.99) == 662


@given(st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.integers(2, 2000))
def test_a_percentile_is_a_sample_between_its_bounds(p: float, n: int) -> None:
    ascending = np.arange(1.0, n + 1)
    found = percentile(ascending, p)
    if n < fewest_samples(p):
        assert found is None
        return
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == math.ceil(round(n * p, 6))
    assert found.low <= found.value <= found.high
    # Ranks are values here: the chance that the number of samples below lies between them.
    inside = binom.cdf(found.high - 1, n, p) - binom.cdf(found.low - 1, n, p)
    assert inside >= 0.95


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval_between_0_and_1(case: tuple[int, int]) -> None:
    some, of = case
    found = proportion(some, of)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value == some / of <= found.high <= 1
    if some == 0:
        assert found.high > 0


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=400), st.sampled_from([0.9, 0.95, 0.99]))
def test_a_scarce_percentile_has_an_interval_around_a_sample(values: list[float], p: float) -> None:
    ascending = np.sort(values)
    estimate = scarce_percentile(ascending, p)
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= estimate.value <= estimate.high
    assert estimate.value in ascending
    if (enough := percentile(ascending, p)) is not None:
        assert estimate == enough


@pytest.mark.parametrize(
    ("count", "p"), [(20, 0.99), (60, 0.99), (200, 0.99), (400, 0.99), (40, 0.95)]
)
def test_a_scarce_percentile_of_an_exponential_tail_is_inside_its_interval(
    count: int, p: float
) -> None:
    rng = np.random.default_rng(5)
    truth = -np.log(1 - p)
    inside = 0
    for _ in range(500):
        estimate = scarce_percentile(np.sort(rng.exponential(size=count)), p)
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        inside += estimate.low <= truth <= estimate.high
    assert inside > 0.9 * 500


def test_nothing_is_no_percentile() -> None:
    assert scarce_percentile(np.zeros(0), 0.99) is None

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tuner.measure.measurement import Estimate, LossParts, Z
from tuner.measure.network_part import NetworkPart, inseparable, network_parts
from tuner.spec.space import Configuration


def at(cpu: float) -> Configuration:
    return Configuration.of({"cpu": cpu, "loss": 1.0})


def parts(requests: int, delayed: int, delay: float = 250.0, sd: float = 100.0) -> LossParts:
    return LossParts(requests, delayed, 0, Estimate(3.0, 2.9, 3.1), delay, sd)


def drawn(rng: np.random.Generator, share: float, requests: int = 800) -> LossParts:
    """A burst whose delays double with each loss in a row: 200, 600, 1400 ms."""
    losses = rng.geometric(1 - share, requests) - 1
    delays = 200.0 * (2.0 ** losses[losses > 0] - 1)
    sd = float(delays.std(ddof=1)) if len(delays) > 1 else 0.0
    return parts(requests, len(delays), float(delays.mean()) if len(delays) else 0.0, sd)


def the(of: NetworkPart | str) -> NetworkPart:
    assert isinstance(of, NetworkPart), of
    return of


def pooled(groups: Sequence[Sequence[LossParts]]) -> list[NetworkPart | str]:
    return list(network_parts({at(i): group for i, group in enumerate(groups)}).values())


def test_the_bursts_of_all_configurations_are_pooled() -> None:
    groups = [[parts(1000, 20, 240), parts(3000, 60, 240)], [parts(2000, 40, 240)]]
    first, second = map(the, pooled(groups))
    assert first == second
    assert first.share == pytest.approx(0.02)
    assert first.delay_ms == pytest.approx(240)
    assert first.mean_ms == pytest.approx(4.8)
    assert (first.delayed, first.bursts, first.configurations) == (120, 3, 2)
    assert first.share_error == pytest.approx(math.sqrt(0.02 * 0.98 / 6000))


def test_it_is_known_the_better_the_more_bursts_there_are() -> None:
    few = the(pooled([[parts(1000, 20)], [parts(1000, 20)]])[0])
    many = the(pooled([[parts(1000, 20)]] * 8)[0])
    assert many.error_ms == pytest.approx(few.error_ms / 2, rel=0.02)


def test_its_interval_holds() -> None:
    rng = np.random.default_rng(7)
    share, true = 0.05, 0.0
    true = 200 * (np.mean(2.0 ** (rng.geometric(1 - share, 2_000_000) - 1)) - 1)
    holds = []
    for _ in range(200):
        part = the(pooled([[drawn(rng, share)] for _ in range(8)])[0])
        holds.append(abs(part.mean_ms - true) <= Z * part.error_ms)
    assert 0.9 <= np.mean(holds) <= 0.98


def test_a_configuration_that_differs_stands_alone() -> None:
    alike = [[parts(2000, 40 + i)] for i in range(6)]
    *others, odd = pooled([*alike, [parts(2000, 120, 400)]])
    assert isinstance(odd, str)
    assert "its lost packets cost 24 ms per request" in odd
    assert others == pooled(alike), "as if it were not there"


def test_chance_makes_nothing_stand_alone() -> None:
    rng = np.random.default_rng(3)
    found = [p for _ in range(50) for p in pooled([[drawn(rng, 0.02)] for _ in range(10)])]
    assert sum(isinstance(p, str) for p in found) <= 0.02 * len(found)


def test_where_configurations_differ_their_own_bursts_count_for_more() -> None:
    shares = (160, 180, 200, 220, 240)
    found = [the(p) for p in pooled([[parts(4000, n, sd=50)] for n in shares])]
    alone = [the(pooled([[parts(4000, n, sd=50)]])[0]) for n in shares]
    assert found[0].share < found[2].share < found[4].share
    assert found[0].share > alone[0].share, "drawn to the others"
    assert max(p.share_error for p in found) < min(p.share_error for p in alone) * 1.1


def test_too_few_delayed_requests_say_nothing() -> None:
    assert all("fewer than 20" in str(p) for p in pooled([[parts(500, 4)], [parts(500, 5)]]))


def test_where_most_disagree_nothing_is_pooled() -> None:
    found = pooled([[parts(4000, 80)], [parts(4000, 900)]])
    assert all("do not agree" in str(p) for p in found)


def test_a_configuration_without_a_delayed_request_is_of_the_network_too() -> None:
    quiet = replace(parts(20, 0), delay_ms=0.0, delay_sd_ms=0.0)
    part = the(pooled([[parts(2000, 40)], [quiet]])[1])
    assert part.delay_ms == pytest.approx(250)
    assert part.share == pytest.approx(40 / 2020)


def test_delayed_requests_must_be_clear() -> None:
    assert not inseparable(1000, 50, 7)
    assert "as long as its delay" in inseparable(1000, 50, 8)
    assert "most of its requests" in inseparable(100, 41, 0)

# ruff: noqa: E501 -- listings as the tool printed them
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.netfilter import Dropping

# `iptables -w -v -S` of iptables 1.8.9, of both kinds.
REPLICA = """\
-P INPUT ACCEPT -c 812 43042
-P FORWARD ACCEPT -c 0 0
-P OUTPUT ACCEPT -c 901 59042
-A INPUT -p tcp -m tcp --dport 8501 -c 850 44950
-A INPUT -p tcp -m tcp --dport 8501 -m statistic --mode random --probability 0.04999999981 -c 38 1908 -j DROP
-A OUTPUT -p tcp -m tcp --sport 8501 -c 947 61990
-A OUTPUT -p tcp -m tcp --sport 8501 -m statistic --mode random --probability 0.04999999981 -c 46 2948 -j DROP
"""
CLIENT = """\
-P INPUT ACCEPT -c 812 43042
-P FORWARD ACCEPT -c 0 0
-P OUTPUT ACCEPT -c 901 59042
-A INPUT -s 172.18.0.3/32 -p tcp -m tcp --sport 8501 -c 400 44950
-A INPUT -s 172.18.0.3/32 -p tcp -m tcp --sport 8501 -m statistic --mode random --probability 0.01999999979 -c 8 1908 -j DROP
-A INPUT -s 172.18.0.30/32 -p tcp -m tcp --sport 8501 -c 500 44950
-A INPUT -s 172.18.0.30/32 -p tcp -m tcp --sport 8501 -m statistic --mode random --probability 0.01999999979 -c 11 1908 -j DROP
"""
REQUESTS = Dropping("iptables", "INPUT", "--dport", 8501, 5.0)
RESPONSES = Dropping("iptables", "OUTPUT", "--sport", 8501, 5.0)


def test_counters_of_both_directions() -> None:
    assert REQUESTS.counted(REPLICA) == (850, 38)
    assert RESPONSES.counted(REPLICA) == (947, 46)


def test_counters_of_each_replica_in_the_clients_chain() -> None:
    for source, counted in (("172.18.0.3", (400, 8)), ("172.18.0.30", (500, 11))):
        rule = Dropping("iptables", "INPUT", "--sport", 8501, 2.0, source)
        assert rule.counted(CLIENT) == counted
    assert not Dropping("iptables", "INPUT", "--sport", 8501, 2.0).present(CLIENT)


@pytest.mark.parametrize("port", [850, 85, 501, 18501])
def test_rules_of_another_port_do_not_count(port: int) -> None:
    rule = Dropping("iptables", "INPUT", "--dport", port, 5.0)
    assert rule.counted(REPLICA) is None
    assert not rule.present(REPLICA)


def test_half_a_pair_of_rules_is_still_a_rule() -> None:
    text = REPLICA.splitlines()[4]
    assert REQUESTS.counted(text) is None
    assert REQUESTS.present(text)
    assert not RESPONSES.present(text)
    assert not REQUESTS.present("-P INPUT ACCEPT -c 0 0\n")


@given(port=st.integers(1, 65535), loss=st.floats(0.01, 50), source=st.none() | st.just("10.0.0.2"))
def test_packets_are_counted_then_dropped_with_the_asked_probability(
    port: int, loss: float, source: str | None
) -> None:
    count, drop = Dropping("iptables-legacy", "INPUT", "--sport", port, loss, source).add()
    assert drop[: len(count)] == count
    assert count[0] == "iptables-legacy"
    assert count[count.index("--sport") + 1] == str(port)
    assert "-j" not in count
    assert drop[-2:] == ["-j", "DROP"]
    assert ("-s" in count) == (source is not None)
    assert float(drop[drop.index("--probability") + 1]) == pytest.approx(loss / 100, abs=1e-6)

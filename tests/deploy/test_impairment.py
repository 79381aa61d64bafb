# ruff: noqa: E501, W291 -- listings as the tool printed them
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.impairment import Drops, has_rules, parse_drops, rules

NFT = """\
Chain INPUT (policy ACCEPT 812 packets, 43042 bytes)
    pkts      bytes target     prot opt in     out     source               destination         
@IN@
Chain FORWARD (policy ACCEPT 0 packets, 0 bytes)
    pkts      bytes target     prot opt in     out     source               destination         

Chain OUTPUT (policy ACCEPT 901 packets, 59042 bytes)
    pkts      bytes target     prot opt in     out     source               destination         
@OUT@"""

RULES = {
    # iptables 1.8.9 of both kinds prints the protocol's number
    "1.8.9": (
        """\
     850    44950            6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8501
      38     1908 DROP       6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8501 statistic mode random probability 0.04999999981
""",
        """\
     947    61990            6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:8501
      46     2948 DROP       6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:8501 statistic mode random probability 0.04999999981
""",
    ),
    # other versions print its name
    "by name": (
        """\
     850    44950            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8501
      38     1908 DROP       tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8501 statistic mode random probability 0.05000000000
""",
        """\
     947    61990            tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:8501
      46     2948 DROP       tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            tcp spt:8501 statistic mode random probability 0.05000000000
""",
    ),
}


def listing(into: str = "", out: str = "") -> str:
    return NFT.replace("@IN@", into).replace("@OUT@", out)


@pytest.mark.parametrize("version", RULES)
def test_counters_of_both_directions(version: str) -> None:
    assert parse_drops(listing(*RULES[version]), 8501) == [
        Drops("in", 850, 38),
        Drops("out", 947, 46),
    ]


@pytest.mark.parametrize("port", [850, 85, 501, 18501])
def test_rules_of_another_port_do_not_count(port: int) -> None:
    text = listing(*RULES["1.8.9"])
    assert parse_drops(text, port) == []
    assert not has_rules(text, port)


def test_an_empty_table_has_no_rules() -> None:
    assert parse_drops(listing(), 8501) == []
    assert not has_rules(listing(), 8501)


def test_half_a_pair_of_rules_is_still_a_rule() -> None:
    text = listing(into=RULES["1.8.9"][0].splitlines()[1] + "\n")
    assert parse_drops(text, 8501) == []
    assert has_rules(text, 8501)


@given(port=st.integers(1, 65535), loss=st.floats(0.01, 50))
def test_each_direction_is_counted_then_dropped_with_the_asked_probability(
    port: int, loss: float
) -> None:
    found = rules(port, loss)
    assert [rule[0] for rule in found] == ["INPUT", "INPUT", "OUTPUT", "OUTPUT"]
    assert [rule[3:5] for rule in found] == [["--dport", str(port)]] * 2 + [
        ["--sport", str(port)]
    ] * 2
    assert ["DROP" in rule for rule in found] == [False, True, False, True]
    for rule in (found[1], found[3]):
        probability = float(rule[rule.index("--probability") + 1])
        assert probability == pytest.approx(loss / 100, abs=1e-6)

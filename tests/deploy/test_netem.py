from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tuner.deploy.netem import Egress, Ingress, Shape

LOSSY = Shape(loss_percent=2.0)


def discipline(dev: str, kind: str, **more: object) -> dict[str, Any]:
    """As `tc -s -j qdisc show` prints one: fields of print_qdisc and print_tcstats2_attr in
    iproute2's tc/tc_qdisc.c and tc/tc_util.c, and options of tc/q_netem.c.
    """
    return {
        "kind": kind,
        "handle": "8001:",
        "dev": dev,
        "root": True,
        "refcnt": 2,
        "options": {"limit": 100000, "loss-random": {"loss": 0.02, "correlation": 0}},
        "bytes": 1000,
        "packets": 980,
        "drops": 20,
        "overlimits": 0,
        "requeues": 0,
        "backlog": 0,
        "qlen": 0,
        **more,
    }


def shown(*disciplines: dict[str, Any]) -> str:
    return json.dumps([discipline("lo", "noqueue", packets=0, drops=0), *disciplines])


def test_what_it_saw_is_what_left_what_waits_and_what_it_dropped() -> None:
    text = shown(discipline("eth0", "netem", qlen=5))
    rule = Egress("eth0", LOSSY)
    assert rule.counted(text) == (1005, 20)
    assert rule.present(text)


def test_another_discipline_or_interface_is_not_it() -> None:
    for other in (discipline("eth0", "pfifo"), discipline("eth1", "netem")):
        assert Egress("eth0", LOSSY).counted(shown(other)) is None
        assert not Egress("eth0", LOSSY).present(shown(other))


def test_a_redirection_is_counted_at_its_own_interface() -> None:
    text = shown(
        discipline("eth1", "ingress", packets=7), *(discipline(f"ifb{n}", "netem") for n in (0, 1))
    )
    assert Ingress("eth1", 1, LOSSY).counted(text) == (1000, 20)
    assert Ingress("eth1", 2, LOSSY).counted(text) is None


def test_half_a_redirection_is_still_there() -> None:
    rule = Ingress("eth1", 0, LOSSY)
    assert rule.present(shown(discipline("eth1", "ingress")))
    assert rule.present(shown(discipline("ifb0", "noqueue")))
    assert not rule.present(shown(discipline("eth0", "ingress"), discipline("ifb1", "netem")))


def test_commands_of_a_redirection() -> None:
    shape = Shape(1.5, 10, 2, 8, "normal")
    words = "limit 100000 delay 10.000ms 2.000ms distribution normal loss random 1.5000% rate"
    filtering = "tc filter add dev eth1 parent ffff: protocol ip u32 match ip src 10.0.0.2/32"
    assert [" ".join(command) for command in Ingress("eth1", 3, shape, "10.0.0.2").add()] == [
        "ip link add ifb3 type ifb",
        "ip link set ifb3 up",
        "tc qdisc replace dev eth1 ingress",
        f"{filtering} action mirred egress redirect dev ifb3",
        f"tc qdisc add dev ifb3 root netem {words} 8000000bit",
    ]
    assert [" ".join(command) for command in Egress("eth0", LOSSY).add()] == [
        "tc qdisc add dev eth0 root netem limit 100000 loss random 2.0000%"
    ]


@given(
    loss=st.floats(0, 50),
    delay=st.floats(0, 500),
    jitter=st.floats(0, 50),
    bandwidth=st.none() | st.floats(0.01, 1000),
    distribution=st.none() | st.just("normal"),
)
def test_only_what_is_asked_is_told(
    loss: float, delay: float, jitter: float, bandwidth: float | None, distribution: str | None
) -> None:
    words = Shape(loss, delay, jitter, bandwidth, distribution).words()
    assert ("loss" in words) == (loss > 0)
    assert ("delay" in words) == (delay > 0)
    assert ("rate" in words) == (bandwidth is not None)
    # A jitter varies a delay, and a distribution a jitter.
    assert ("distribution" in words) == (delay > 0 and jitter > 0 and distribution is not None)

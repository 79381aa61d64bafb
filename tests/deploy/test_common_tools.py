import pytest

from tuner.deploy.network_tools import NetworkTools, common_tools

WHOLE = NetworkTools("iptables", netem=True, ifb=True, distribution="normal")


@pytest.mark.parametrize(
    ("other", "common"),
    [
        (WHOLE, WHOLE),
        (NetworkTools("iptables"), NetworkTools("iptables")),
        (
            NetworkTools("iptables-legacy", netem=True),
            NetworkTools(None, netem=True),
        ),
        (NetworkTools(), NetworkTools()),
    ],
)
def test_nodes_can_do_what_each_of_them_can(other: NetworkTools, common: NetworkTools) -> None:
    assert common_tools([WHOLE, other]) == common
    assert common_tools([other, WHOLE, WHOLE]) == common

"""Which ports of a container are published, and which one a protocol is asked on."""

import pytest

from tuner.deploy.reach import Reach
from tuner.serving.container_plan import container_plan
from tuner.spec.study import LoadProtocol, ServingSpec


@pytest.mark.parametrize("image", ["tune", "tensorflow/serving:2.19.1"])
@pytest.mark.parametrize(("protocol", "port"), [("rest", 8501), ("grpc", 8500)])
def test_each_protocol_has_tensorflow_servings_port(
    image: str, protocol: LoadProtocol, port: int
) -> None:
    assert container_plan(ServingSpec(image=image), "m", image).port_of(protocol) == port


def test_ports_are_published_where_the_bridge_is_elsewhere() -> None:
    assert Reach(published=False).ports(8501, 8500) is None
    here, there = Reach(published=True), Reach(published=True, host="far", remote=True)
    assert here.ports(8501, 8500) == {
        "8501/tcp": ("127.0.0.1", None),
        "8500/tcp": ("127.0.0.1", None),
    }
    assert here.ports(8501, 8501) == {"8501/tcp": ("127.0.0.1", None)}
    assert there.ports(8500) == {"8500/tcp": ("0.0.0.0", None)}

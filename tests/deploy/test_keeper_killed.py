"""A keeper that something else ends is told as that, not as a model that may not be read."""

from __future__ import annotations

import uuid

import pytest
from docker import DockerClient
from docker.errors import APIError

from tuner.deploy import keeper as keepers
from tuner.deploy.engine_client import engine_failure
from tuner.deploy.keeper import keeper
from tuner.deploy.ownership import LABEL, Owner
from tuner.errors import SetupError

pytestmark = pytest.mark.docker


def test_a_keeper_that_is_killed_while_it_reads(
    engine: DockerClient, serving_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {LABEL: str(Owner.this()), "tune.run": uuid.uuid4().hex}
    with keeper(engine, serving_image, {}, None, "0", labels) as reading:
        monkeypatch.setattr(keepers, "_READ_ALL", "kill -9 $$")
        with pytest.raises(SetupError, match="something else ended the container") as caught:
            reading.read()
        assert "run again" in caught.value.mend
        reading.container.kill()
        reading.container.wait()
        with pytest.raises(APIError) as refused:
            reading.read()
        told = engine_failure(refused.value)
    assert "something else ended a container that is needed" in told.message

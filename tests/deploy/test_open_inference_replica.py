"""A replica of ONNX Runtime that cannot load its model."""

from pathlib import Path

import pytest
from docker import DockerClient

from tests.serving.onnx_models import build_half_plus_two_onnx
from tuner.deploy.replica_answers import replica_answers
from tuner.errors import InputError
from tuner.serving.image import build_image
from tuner.serving.servers.onnx_runtime import IMAGE

pytestmark = pytest.mark.docker


def test_a_damaged_model_is_refused_in_the_words_of_onnx_runtime(
    engine: DockerClient, tmp_path: Path
) -> None:
    build_image(engine, print, recipe=IMAGE)
    damaged = build_half_plus_two_onnx(tmp_path)
    (damaged.versions / "1" / "model.onnx").write_bytes(b"damaged")
    body = b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]}'
    with pytest.raises(InputError, match=r"ONNX Runtime does not load it: .*INVALID_PROTOBUF"):
        replica_answers(damaged, [body])

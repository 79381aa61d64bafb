"""A model that is only described, and whose runs a test can hold up."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np

from tuner.serving.server.inference import Inference
from tuner.serving.server.metrics import Metrics
from tuner.serving.server.model import ServedModel
from tuner.serving.server.run import Tensors
from tuner.serving.server.signatures import PREDICT_METHOD, Signature, TensorSpec
from tuner.serving.server.tensorflow_c import SavedModel
from tuner.serving.server.versions import Model, ModelConfig


class Described:
    """A model that is only described; a test says how it runs."""

    signatures: Mapping[str, Signature] = {
        "serving_default": Signature(
            PREDICT_METHOD,
            {"x": TensorSpec("x:0", "DT_FLOAT", None)},
            {"y": TensorSpec("y:0", "DT_FLOAT", None)},
        )
    }


class Gate:
    """Runs wait at it until it is opened; it knows how many came, and how many at the same time."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.lock = threading.Lock()
        self.inside = self.most = self.runs = 0

    def __call__(self, _model: ServedModel, _signature: str, _inputs: Tensors) -> Tensors:
        with self.lock:
            self.inside += 1
            self.runs += 1
            self.most = max(self.most, self.inside)
        assert self.opened.wait(30)
        with self.lock:
            self.inside -= 1
        return {"y": np.zeros(1, np.float32)}


def inference(gate: Gate, directory: Path) -> Inference:
    """It serves one version of a model `m`, whose runs wait at `gate`."""
    (directory / "1").mkdir()
    model = Model(ModelConfig("m", directory), lambda _: cast("SavedModel", Described()))
    model.refresh()
    return Inference({"m": model}, gate, Metrics())

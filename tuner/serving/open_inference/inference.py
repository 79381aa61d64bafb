"""What REST and gRPC have in common: find the model, check, run, count. No JSON, no messages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

from tuner.serving.server.metrics import Metrics
from tuner.serving.server.run import Run, Tensors
from tuner.serving.server.status import Code, StatusError, invalid

from .session import ServedModel

PLATFORM = "onnxruntime_onnx"


def run_directly(model: ServedModel, _signature: str, inputs: Tensors) -> Tensors:
    return model.run(inputs)


class Inference:
    """Answers for one version of one model. Its methods may be called from many threads at once."""

    def __init__(self, model: ServedModel, run: Run[ServedModel], metrics: Metrics) -> None:
        self._model = model
        self._run = run
        self._metrics = metrics

    def find(self, name: str, version: str = "") -> ServedModel:
        """The model; any version is meant by "". Raises StatusError (NOT_FOUND) for another one."""
        model = self._model
        if name != model.name:
            raise StatusError(Code.NOT_FOUND, f"model {name!r} is not served; {model.name!r} is")
        if version not in {"", str(model.version)}:
            raise StatusError(
                Code.NOT_FOUND,
                f"version {version} of model {name!r} is not served; {model.version} is",
            )
        return model

    def counted(self, name: str, entrypoint: str) -> AbstractContextManager[None]:
        """Count the request that the block answers, and how long it took."""
        return self._metrics.counted(name, "infer", entrypoint, known=name == self._model.name)

    def infer(self, model: ServedModel, inputs: Tensors, outputs: Sequence[str] = ()) -> Tensors:
        """The outputs, all or those in `outputs`. Raises StatusError where a name does not suit."""
        for name in inputs.keys() - model.inputs.keys():
            raise invalid(f"there is no input {name!r}; the inputs are {_listed(model.inputs)}")
        for name in model.inputs.keys() - inputs.keys():
            raise invalid(f"input {name!r} is missing; the inputs are {_listed(model.inputs)}")
        for name in outputs:
            if name not in model.outputs:
                raise invalid(f"there is no output {name!r}; they are {_listed(model.outputs)}")
        began = time.perf_counter()
        found = self._run(model, "", inputs)
        self._metrics.runtime_latency(model.name, "infer", time.perf_counter() - began)
        return {name: found[name] for name in outputs} if outputs else found

    def check_datatype(self, model: ServedModel, name: str, datatype: str) -> None:
        """Raises StatusError where the input `name` is of another datatype."""
        spec = model.inputs.get(name)
        if spec is not None and spec.datatype != datatype:
            raise invalid(f"input {name!r} is of datatype {spec.datatype}, not {datatype}")


def _listed(names: object) -> str:
    assert hasattr(names, "__iter__")
    return ", ".join(map(repr, names))

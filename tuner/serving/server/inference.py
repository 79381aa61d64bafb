"""What the REST and the gRPC API have in common: find a model, check, run, count. No JSON, no RPC.

The checks and their words are those of TensorFlow Serving's `servables/tensorflow/`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .metrics import Metrics
from .model import ServedModel
from .run import Run, Tensors, seconds_left
from .signatures import (
    CLASSIFY_METHOD,
    PREDICT_METHOD,
    REGRESS_METHOD,
    TENSOR_TYPES,
    Signature,
)
from .status import Code, StatusError, invalid
from .versions import Model, VersionStatus, not_servable

_METHODS = (PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)


def run_directly(model: ServedModel, signature: str, inputs: Tensors) -> Tensors:
    return model.saved_model.run(signature, inputs, seconds_left())


@dataclass(frozen=True)
class Classes:
    """`labels` (bytes objects) and `scores` (float32), both (examples, classes); one may lack."""

    labels: npt.NDArray[Any] | None
    scores: npt.NDArray[Any] | None


class Inference:
    """Answers for `models`, by name. All methods may be called from many threads at once.

    With `check_methods`, a signature can be asked only by the method that it names, as it is in
    TensorFlow Serving with `enable_signature_method_name_check`.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        run: Run[ServedModel],
        metrics: Metrics,
        *,
        check_methods: bool = False,
    ) -> None:
        self._check_methods = check_methods
        self._models = models
        self._run = run
        self._metrics = metrics

    def find(self, name: str, version: int | None = None, label: str | None = None) -> ServedModel:
        """The version of a model that a request means; raises StatusError where there is none."""
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if name in self._models:
            return self._models[name].find(version, label)
        if label is not None:
            raise invalid(f"Unrecognized servable version label: {label}")
        raise not_servable(name, version)

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Of all versions of a model or of one; raises StatusError where there are none."""
        model = self._models.get(name)
        known = [] if model is None else model.status
        found = [status for status in known if version in {None, status.version}]
        if not found:
            which = "any versions" if version is None else f"version {version}"
            raise StatusError(Code.NOT_FOUND, f"Could not find {which} of model {name}")
        return found

    def counted(self, name: str, api: str, entrypoint: str) -> AbstractContextManager[None]:
        """Count the request that the block answers, and how long it took."""
        return self._metrics.counted(name, api, entrypoint, known=name in self._models)

    def predict(
        self, model: ServedModel, name: str, inputs: Tensors, outputs: Sequence[str] = ()
    ) -> Tensors:
        """The outputs of the signature `name`, all or those in `outputs`.

        Raises StatusError where inputs or outputs are not those of the signature, or what the
        graph says.
        """
        signature = model.saved_model.signatures[name]
        if self._check_methods and signature.method not in _METHODS:
            raise StatusError(
                Code.INTERNAL,
                "Expected prediction signature method_name to be one of "
                f"{{{', '.join(_METHODS)}}}. Was: {signature.method}",
            )
        _check_names(inputs, signature, outputs)
        found = self._timed(model, name, inputs, "Predict")
        return {alias: found[alias] for alias in outputs} if outputs else found

    def classify(self, model: ServedModel, name: str, examples: Sequence[bytes]) -> Classes:
        """Classes of serialized `tensorflow.Example` messages.

        Raises StatusError where the signature is none for classification, or what the graph says.
        """
        signature = self._signature(model, name, "classification", CLASSIFY_METHOD)
        if len(signature.outputs) not in {1, 2}:
            raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
        if not signature.outputs.keys() & {"classes", "scores"}:
            raise invalid(
                'Expected classification signature outputs to contain at least one of "classes" '
                'or "scores".'
            )
        outputs = self._on_examples(model, name, examples, "Classify")
        labels, scores = outputs.get("classes"), outputs.get("scores")
        for what, array, kind in (("classes", labels, "O"), ("scores", scores, "f")):
            if array is None:
                continue
            if array.ndim != 2:
                raise invalid(
                    f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)}"
                )
            if array.dtype.kind != kind:
                expected = "DT_STRING" if kind == "O" else "DT_FLOAT"
                raise invalid(f"Expected {what} Tensor of {expected}. Got: {_type_of(array)}")
            if len(array) != len(examples):
                raise invalid(
                    f"Expected {what} output batch size of {len(examples)}. Got: {len(array)}"
                )
        if labels is not None and scores is not None and labels.shape != scores.shape:
            raise invalid(
                "Tensors class and score should match in dim_size(1). Got "
                f"{labels.shape[1]} vs. {scores.shape[1]}"
            )
        return Classes(labels, scores)

    def regress(
        self, model: ServedModel, name: str, examples: Sequence[bytes]
    ) -> npt.NDArray[np.float32]:
        """One value for each serialized `tensorflow.Example` message.

        Raises StatusError where the signature is none for regression, or what the graph says.
        """
        signature = self._signature(model, name, "regression", REGRESS_METHOD)
        if len(signature.outputs) != 1:
            raise invalid("Expected one output Tensor.")
        if "outputs" not in signature.outputs:
            raise invalid(f"No regression outputs found in SignatureDef: {name}")
        values = self._on_examples(model, name, examples, "Regress")["outputs"]
        if values.ndim != 1 and (values.ndim != 2 or values.shape[1] != 1):
            raise invalid(
                "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but "
                f"got {list(values.shape)}"
            )
        if len(values) != len(examples):
            raise invalid(
                f"Input batch size did not match output batch size: {len(examples)} vs. "
                f"{len(values)}"
            )
        if values.dtype != np.float32:
            raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {_type_of(values)}")
        return values.reshape(-1)

    def _signature(self, model: ServedModel, name: str, kind: str, method: str) -> Signature:
        signature = model.saved_model.signatures.get(name)
        if signature is None:
            raise invalid(f"No signature was found with the name: {name}")
        if self._check_methods and signature.method != method:
            raise invalid(
                f"Expected {kind} signature method_name to be {method}. Was: {signature.method}"
            )
        if len(signature.inputs) != 1:
            raise invalid("Expected one input Tensor.")
        if "inputs" not in signature.inputs:
            raise invalid(f"No {kind} inputs found in SignatureDef: {name}")
        return signature

    def _on_examples(
        self, model: ServedModel, name: str, examples: Sequence[bytes], api: str
    ) -> Tensors:
        if not examples:
            raise invalid("Input is empty.")
        self._metrics.examples(model.name, len(examples))
        array = np.empty(len(examples), np.object_)
        array[:] = examples
        return self._timed(model, name, {"inputs": array}, api)

    def _timed(self, model: ServedModel, name: str, inputs: Tensors, api: str) -> Tensors:
        began = time.perf_counter()
        outputs = self._run(model, name, inputs)
        self._metrics.runtime_latency(model.name, api, time.perf_counter() - began)
        return outputs


def _check_names(inputs: Tensors, signature: Signature, outputs: Sequence[str]) -> None:
    expected = signature.inputs.keys()
    extra, missing = inputs.keys() - expected, expected - inputs.keys()
    fewer = len(inputs) < len(expected) and not signature.defaults
    if len(inputs) > len(expected) or fewer:
        raise invalid(
            f"input size does not match signature: {len(inputs)}!={len(expected)} len("
            f"{_braced(inputs)}) != len({_braced(expected)}). Sent extra: {_braced(extra)}. "
            f"Missing but required: {_braced(missing)}."
        )
    if missing:
        alias = min(missing)
        raise invalid(
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].tensor}) not found"
            f" in request and no default value provided. Inputs expected to be in the request "
            f"{_braced(inputs)}, or default input alias set: {','.join(sorted(signature.defaults))}"
        )
    for number, alias in enumerate(outputs):
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_braced(signature.outputs)}."
            )
        if alias in outputs[:number]:
            raise invalid(f"duplicate output tensor alias: {alias}")


def _braced(names: Iterable[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def _type_of(array: npt.NDArray[Any]) -> str:
    """TensorFlow's name of the type of an array."""
    return next(name for name, dtype in TENSOR_TYPES.items() if np.dtype(dtype) == array.dtype)

"""What can be served: the answers of `tune models list` and `tune models show`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from tuner.pages.blocks import Block, Cell, Facts, Table, Words
from tuner.serving.model_facts import ModelFacts

_MIB = 2**20
_SAID = {"name", "signature", "saved_model_sha256"}
"""Facts of a model card that stand elsewhere in the answer."""


def model_table(models: Sequence[ModelFacts]) -> Table:
    """A row for each model."""
    rows = ((m.name, _built(m), m.origin, m.description) for m in models)
    return Table(("model", "built", "from", "description"), tuple(rows), priorities=(0, 0, 1, 2))


def _built(model: ModelFacts) -> str:
    if model.image is not None:
        return "in its image"
    return f"version {model.version}" if model.built else "no"


def model_blocks(model: ModelFacts) -> Iterator[Block]:
    """Everything that a model's files say, in the order of use."""
    yield Words(f"{model.name}: {model.description}", "lead")
    yield Facts(tuple(_rows(model)))


def _rows(model: ModelFacts) -> Iterator[tuple[str, Cell]]:
    yield "directory", f"{model.directory} ({model.origin})"
    yield "requests", f"signature {model.signature}, answers within {model.tolerance:g}"
    if model.image is not None:
        yield "image", model.image
        yield "golden", f"{model.golden} requests"
        return
    if model.bytes is None:
        yield "not built", f"build it: tune models build {model.name}"
        return
    yield "version", f"{model.version}, {model.bytes / _MIB:.1f} MiB, {model.version_directory}"
    yield "sha256", str(model.sha256)
    for name, tensors in model.signatures.items():
        yield "signature", f"{name}: {tensors}"
    if model.golden is None:
        yield "golden", f"no golden requests; make them: tune models build {model.name}"
    else:
        yield "golden", f"{model.golden} requests with their answers"
    for key, value in model.card.items():
        if key not in _SAID:
            yield key, value if isinstance(value, str) else json.dumps(value)

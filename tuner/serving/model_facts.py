"""What the files of a model say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuner.measure.golden import load_golden
from tuner.serving import onnx_file
from tuner.serving.built_model import highest_version, is_built
from tuner.serving.saved_model import FILE, read_signatures
from tuner.serving.server.signatures import Signature
from tuner.serving.synthesis import tensors_text
from tuner.serving.version_files import directory_checksum
from tuner.spec import study_files
from tuner.spec.model_card import model_card
from tuner.spec.study import ModelSpec


@dataclass(frozen=True)
class ModelFacts:
    """What the files of a model say.

    What is None or empty is not there: `version` before it is built, `golden` (a number of
    requests) too. `signatures` are texts by name; `card` is what its builder, or `tune models add`,
    wrote of it. `image` is that of a service, which has the model inside.
    """

    name: str
    description: str
    directory: str
    origin: str
    built: bool
    signature: str
    tolerance: float
    version: str | None = None
    version_directory: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    golden: int | None = None
    signatures: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None


def short_facts(model: ModelSpec) -> ModelFacts:
    """Without what is in its files."""
    version = highest_version(model)
    return ModelFacts(
        model.name,
        model.description,
        str(model.directory),
        _origin(model),
        is_built(model),
        model.signature,
        model.tolerance,
        None if version is None else version.name,
        golden=None if model.http is None else len(model.http.requests),
        image=None if model.http is None else model.http.image,
    )


def facts_of(model: ModelSpec) -> ModelFacts:
    """All of it. Raises InputError for a model whose files cannot be read."""
    short, version = short_facts(model), highest_version(model)
    if version is None:
        return short
    return replace(
        short,
        version_directory=str(version),
        bytes=sum(path.stat().st_size for path in version.rglob("*") if path.is_file()),
        sha256=directory_checksum(version),
        golden=len(load_golden(model.golden).bodies) if model.golden.is_file() else None,
        signatures=_signatures(version),
        card=model_card(model),
    )


def _signatures(version: Path) -> dict[str, str]:
    found: dict[str, Signature] = {}
    if (version / FILE).is_file():
        found |= read_signatures(version)
    elif (version / onnx_file.FILE).is_file():
        found[ModelSpec.signature] = onnx_file.read_onnx(version / onnx_file.FILE).signature
    return {
        name: f"{tensors_text(signature.inputs)} -> {tensors_text(signature.outputs)}"
        for name, signature in found.items()
        if signature.inputs
    }


def _origin(model: ModelSpec) -> str:
    if "added" in model_card(model):
        return "added"
    return "shipped" if model.directory.is_relative_to(study_files.shipped()) else "yours"

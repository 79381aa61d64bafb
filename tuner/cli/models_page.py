"""What `tune models list` and `tune models show` print."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.markup import escape
from rich.table import Table

from tuner.cli.tables import console
from tuner.measure.golden import load_golden
from tuner.serving.built_model import directory_checksum, highest_version, is_built
from tuner.serving.saved_model import read_signatures
from tuner.serving.synthesis import tensors_text
from tuner.spec import study_files
from tuner.spec.study import ModelSpec

_MIB = 2**20


@dataclass(frozen=True)
class ModelFacts:
    """What the files of a model say.

    What is None or empty is not there: `version` before it is built, `golden` (a number of
    requests) too. `signatures` are texts by name; `card` is what its builder, or `tune models add`,
    wrote of it.
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


def short_facts(model: ModelSpec) -> ModelFacts:
    """Without what is in its files."""
    version = highest_version(model)
    return ModelFacts(
        model.name,
        model.description,
        str(model.directory),
        _origin(model),
        version is not None and is_built(model),
        model.signature,
        model.tolerance,
        None if version is None else version.name,
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
        signatures={
            name: f"{tensors_text(signature.inputs)} -> {tensors_text(signature.outputs)}"
            for name, signature in read_signatures(version).items()
            if signature.inputs
        },
        card=_card(model),
    )


def show_models(models: Sequence[ModelFacts]) -> None:
    """One line each."""
    table = Table(box=None, pad_edge=False)
    for title in ("model", "built", "from", "description"):
        table.add_column(title)
    for model in models:
        built = f"version {model.version}" if model.built else "no"
        table.add_row(model.name, built, model.origin, escape(model.description))
    console.print(table)


def show_model(model: ModelFacts) -> None:
    """Everything that its files say, in the order of use."""
    say(f"[bold]{model.name}[/]: {escape(model.description)}")
    say(f"directory:  {escape(model.directory)} ({model.origin})")
    say(f"requests:   signature {escape(model.signature)}, answers within {model.tolerance:g}")
    if model.bytes is None:
        say(f"not built:  tune models build {model.name}")
        return
    where = escape(str(model.version_directory))
    say(f"version:    {model.version}, {model.bytes / _MIB:.1f} MiB, {where}")
    say(f"sha256:     {model.sha256}")
    for name, tensors in model.signatures.items():
        say(f"signature:  {escape(name)}: {escape(tensors)}")
    if model.golden is None:
        say(f"golden:     none; tune models build {model.name}")
    else:
        say(f"golden:     {model.golden} requests with their answers")
    for key, value in model.card.items():
        if key not in {"name", "signature", "saved_model_sha256"}:
            text = value if isinstance(value, str) else json.dumps(value)
            say(f"{key + ':':<11} {escape(text)}")


def say(line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False)


def _card(model: ModelSpec) -> dict[str, Any]:
    """What its builder, or `tune models add`, wrote of it."""
    path = model.built / "card.json"
    if not path.is_file():
        return {}
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return card


def _origin(model: ModelSpec) -> str:
    if "added" in _card(model):
        return "added"
    return "shipped" if model.directory.is_relative_to(study_files.shipped()) else "yours"

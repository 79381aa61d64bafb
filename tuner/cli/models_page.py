"""What `tune models list` and `tune models show` print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from tuner.cli.tables import console
from tuner.measure.golden import load_golden
from tuner.serving.model import directory_checksum, highest_version, is_built
from tuner.serving.saved_model import read_signatures
from tuner.serving.synthesis import shown
from tuner.spec import places
from tuner.spec.study import ModelSpec

_MIB = 2**20


def show_models(models: Sequence[ModelSpec]) -> None:
    """One line each."""
    table = Table(box=None, pad_edge=False)
    for title in ("model", "built", "from", "description"):
        table.add_column(title)
    for model in models:
        version = highest_version(model)
        built = f"version {version.name}" if version and is_built(model) else "no"
        table.add_row(model.name, built, _origin(model), escape(model.description))
    console.print(table)


def show_model(model: ModelSpec) -> None:
    """Everything that its files say, in the order of use."""
    say(f"[bold]{model.name}[/]: {escape(model.description)}")
    say(f"directory:  {escape(str(model.directory))} ({_origin(model)})")
    say(f"requests:   signature {escape(model.signature)}, answers within {model.tolerance:g}")
    version = highest_version(model)
    if version is None:
        say(f"not built:  tune models build {model.name}")
        return
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    say(f"version:    {version.name}, {size / _MIB:.1f} MiB, {escape(str(version))}")
    say(f"sha256:     {directory_checksum(version)}")
    for name, signature in read_signatures(version).items():
        if signature.inputs:
            tensors = f"{shown(signature.inputs)} -> {shown(signature.outputs)}"
            say(f"signature:  {escape(name)}: {escape(tensors)}")
    if model.golden.is_file():
        say(f"golden:     {len(load_golden(model.golden).bodies)} requests with their answers")
    else:
        say(f"golden:     none; tune models build {model.name}")
    for key, value in _card(model).items():
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
    return "shipped" if model.directory.is_relative_to(places.shipped()) else "yours"

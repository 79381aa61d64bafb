"""Reads an exported file: its kind, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from tuner.errors import InputError
from tuner.export.provenance import Provenance, read_provenance
from tuner.spec.yaml_loader import MOST_CHARACTERS, text_documents

ExportedKind = Literal["compose", "docker-run"]

_MEND = "write one: tune export --format compose (or docker-run) --output FILE"


@dataclass(frozen=True)
class ExportedFile:
    """An exported file. `provenance` is read from its comments; the rest of them is ignored."""

    path: Path
    kind: ExportedKind
    provenance: Provenance


def read_exported(path: Path) -> ExportedFile:
    """Raises InputError for a file that `tune export` did not write or `tune verify` cannot use."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", _MEND) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file", _MEND) from error
    kind = _kind(path, text)
    try:
        return ExportedFile(path, kind, read_provenance(text))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.mend) from error


def _kind(path: Path, text: str) -> ExportedKind:
    if text.startswith("#!"):
        return "docker-run"
    try:
        documents = text_documents(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}", _MEND) from error
    first = next(filter(None, documents), None)
    if isinstance(first, dict) and isinstance(first.get("services"), dict):
        return "compose"
    if isinstance(first, dict) and {"apiVersion", "kind"} <= first.keys():
        raise InputError(
            f"{path} is for Kubernetes, which `tune verify` does not bring up",
            "kubectl apply --dry-run=server checks it; verify the same trial as a compose file",
        )
    raise InputError(f"{path} is neither a compose file nor a docker-run script", _MEND)

"""Reads an exported file: its kind, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from tuner.errors import InputError
from tuner.export.directory import entry_of
from tuner.export.helm import ENTRY as CHART
from tuner.export.provenance import Provenance, read_provenance
from tuner.spec.yaml_loader import MOST_CHARACTERS, text_documents

ExportedKind = Literal["compose", "stack", "docker-run"]

_MEND = "write one: tune export --format compose (or stack, docker-run) --output FILE"


@dataclass(frozen=True)
class ExportedFile:
    """An exported file. `provenance` is read from its comments; the rest of them is ignored."""

    path: Path
    kind: ExportedKind
    provenance: Provenance


def read_exported(path: Path) -> ExportedFile:
    """Raises InputError for a file that `tune export` did not write or `tune verify` cannot use."""
    if path.is_dir():
        raise _of_a_directory(path)
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
        # Only the compose file's third version, which Swarm reads, is still written with it.
        return "stack" if "version" in first else "compose"
    if isinstance(first, dict) and {"apiVersion", "kind"} <= first.keys():
        raise _for_a_cluster(path, f"kubectl apply --dry-run=server -f {path}")
    raise InputError(f"{path} is neither a compose file, a stack nor a docker-run script", _MEND)


def _of_a_directory(path: Path) -> InputError:
    entry = entry_of(path)
    if entry is None:
        return InputError(f"{path} is a directory that `tune export` did not write", _MEND)
    check = f"helm lint {path}" if entry.name == CHART else f"kubectl kustomize {path}"
    return _for_a_cluster(path, check)


def _for_a_cluster(path: Path, check: str) -> InputError:
    return InputError(
        f"{path} is for Kubernetes, which `tune verify` does not bring up",
        f"`{check}` checks its form. Export the same trial as a compose file to verify it",
    )

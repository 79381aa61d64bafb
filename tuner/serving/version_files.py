"""The numbered directories of a model on this machine: which one is served, its checksum."""

from __future__ import annotations

from pathlib import Path

from tuner.errors import SetupError
from tuner.files import content_checksum
from tuner.spec.model_versions import version_number
from tuner.spec.study import ModelSpec


def highest_version_in(versions: Path, file: str) -> Path | None:
    """The version that a server serves: the highest number of a directory with `file`.

    None without any.
    """
    numbered = {
        number: path.parent
        for path in versions.glob(f"*/{file}")
        if (number := version_number(path.parent.name)) is not None and path.is_file()
    }
    return numbered[max(numbered)] if numbered else None


def served_version(model: ModelSpec, file: str) -> Path:
    """The version of `model` that is served. Raises SetupError where there is none."""
    version = highest_version_in(model.versions, file)
    if version is None:
        raise not_built(model, model.versions / "1" / file)
    return version


def not_built(model: ModelSpec, missing: Path) -> SetupError:
    return SetupError(
        f"model {model.name!r} is not built: {missing} is missing",
        f"tune models build {model.name}",
    )


def directory_checksum(directory: Path) -> str:
    """As `content_checksum`: that of a model's version."""
    return content_checksum(directory)

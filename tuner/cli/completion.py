"""What the shell completes: names that are known without opening a database.

These run at each press of the Tab key, so they import nothing that is slow.
"""

from __future__ import annotations

from pathlib import Path

from tuner.backends import backend_names
from tuner.spec import study_files


def study_names(incomplete: str) -> list[str]:
    """Studies below the working directory, and shipped ones."""
    return [n for n in study_files.existing("study", Path.cwd()) if n.startswith(incomplete)]


def finished_names(incomplete: str) -> list[str]:
    """Studies, and study files where the word leads."""
    return [*study_names(incomplete), *_files(incomplete, ".study.zip")]


def backend_choices(incomplete: str) -> list[str]:
    """Those of tune and of installed packages."""
    return [n for n in backend_names() if n.startswith(incomplete)]


def model_names(incomplete: str) -> list[str]:
    """Models below the working directory, and shipped ones."""
    return [n for n in study_files.existing("model", Path.cwd()) if n.startswith(incomplete)]


def _files(incomplete: str, suffix: str) -> list[str]:
    directory, _, start = incomplete.rpartition("/")
    base = Path(f"{directory}/") if "/" in incomplete else Path()
    if not base.is_dir():
        return []
    lead = f"{directory}/" if "/" in incomplete else ""
    return sorted(
        f"{lead}{path.name}"
        for path in base.iterdir()
        if path.name.startswith(start) and path.name.endswith(suffix)
    )

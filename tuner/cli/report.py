"""`tune report`: one HTML file that works offline, and its figures as images."""

from __future__ import annotations

import json
from pathlib import Path

import optuna

from tuner.files import writable, written_whole
from tuner.pages.report import report as page_of
from tuner.render.html import to_html
from tuner.results.study_file import FinishedStudy


def report(
    study: FinishedStudy,
    output: Path | None,
    figures: Path | None,
    image_format: str,
    *,
    as_json: bool,
) -> None:
    """Write it, and say where it is. Raises InputError where it cannot be written."""
    # Optuna says that it makes a study in memory, for the importances.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    page = page_of(study)
    path = output or Path(f"{_file_name(study.record.name)}-report.html")
    data = to_html(page).encode()
    with writable(f"--output {path}"), written_whole(path) as file:
        file.write(data)
    images: tuple[Path, ...] = ()
    if figures is not None:
        from tuner.render.images import write_figures

        images = write_figures(page, figures, image_format)  # type: ignore[arg-type] # a text, by now
    if as_json:
        told = {"report": str(path), "bytes": len(data), "figures": [str(i) for i in images]}
        print(json.dumps(told, indent=2))
        return
    print(f"{path} ({len(data) / 1e6:.1f} MB)")
    if figures is not None:
        print(f"{figures}: {len(images)} figures")


def _file_name(study: str) -> str:
    """A study's name in one file's: no directory, nothing hidden."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in study)
    return kept.lstrip(".-")[:100] or "study"

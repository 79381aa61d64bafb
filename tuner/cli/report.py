"""`tune report`: one HTML file that works offline, and its figures as images."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    FinishedOption,
    GridOption,
    JsonOption,
    StorageOption,
    opened,
)
from tuner.cli.output import print_json


class ImageFormat(StrEnum):
    svg = "svg"
    png = "png"


def report(
    study: FinishedOption,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write. [default: STUDY-report.html]",
            show_default=False,
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write each figure as an image into DIR. Needs Chromium."
        ),
    ] = None,
    image_format: Annotated[
        ImageFormat, typer.Option(help="With --figures: the format of the images.")
    ] = ImageFormat.svg,
    sampler: GridOption = None,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    as_json: JsonOption = False,
) -> None:
    """Write a study's report: one HTML file that works offline, with every figure and its numbers.

    Example: tune report --study mnist --figures figures
    """
    from tuner.files import require_writable

    chosen = opened(study, storage, backend, sampler=sampler)
    if figures is not None:  # before there is a report
        require_writable(figures)
    path = chosen.report(output)
    images = () if figures is None else chosen.figures(figures, image_format.value)
    size = path.stat().st_size
    if as_json:
        print_json({"report": str(path), "bytes": size, "figures": [str(i) for i in images]})
        return
    print(f"{path} ({size / 1e6:.1f} MB)")
    if figures is not None:
        print(f"{figures}: {len(images)} figures")

"""A page's figures as image files, drawn by Kaleido in the system's Chromium."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import plotly
from choreographer.errors import ChromeNotFoundError
from kaleido import Kaleido

from tuner.errors import InputError
from tuner.files import written_whole
from tuner.pages.blocks import Figure, Page, figures
from tuner.render import inert

ImageFormat = Literal["svg", "png"]

WIDTH = 900
"""In CSS pixels; a PNG has twice as many, for print and for dense screens."""

_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

_NOBODY = "http://127.0.0.1:9"
"""A proxy that does not answer: what a browser asks of its makers goes nowhere."""


def write_figures(page: Page, directory: Path, kind: ImageFormat) -> tuple[Path, ...]:
    """Write each figure as `<name>.<kind>` into `directory`, which is made: light, on white.

    Nothing is asked of the network. Raises InputError where no Chromium is found, or the directory
    cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        asyncio.run(_written(page, directory, kind))
    except ChromeNotFoundError as error:
        raise InputError(
            "images of figures are drawn in Chromium, and none is found",
            "install it (Debian: apt-get install chromium), or set BROWSER_PATH to where it is; the"
            " report itself needs none: leave out --figures",
        ) from error
    except OSError as error:
        raise InputError(
            f"--figures {directory} cannot be written: {error.strerror}", "name another directory"
        ) from error
    return tuple(directory / f"{figure.name}.{kind}" for figure in figures(page))


async def _written(page: Page, directory: Path, kind: ImageFormat) -> None:
    # Without MathJax, and with the library's own plotly.js: Kaleido would look for both online.
    async with Kaleido(plotlyjs=_PLOTLY, mathjax=False, proxy_server=_NOBODY) as kaleido:
        for figure in figures(page):
            size = {"format": kind, "width": WIDTH, "scale": 2 if kind == "png" else 1}
            image = await kaleido.calc_fig(_on_white(figure), size)
            with written_whole(directory / f"{figure.name}.{kind}") as file:
                file.write(image)


def _on_white(figure: Figure) -> dict[str, Any]:
    """The drawing alone: its title and caption are for the text that it will stand in."""
    document = inert.inert_figure(figure.plot)
    document["layout"] |= {"paper_bgcolor": "#ffffff", "plot_bgcolor": "#ffffff"}
    return document

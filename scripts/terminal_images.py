"""Writes docs/images/terminal-{80,120,200}.png: `tune show` of a simulated study.

    python scripts/terminal_images.py

It needs Chromium. Nothing is fetched.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import optuna
from playwright.sync_api import sync_playwright
from rich.console import Console

from tuner import Study
from tuner.measure.record import StudyRecord
from tuner.pages.study_page import study_blocks
from tuner.render.terminal import lines

IMAGES = Path("docs/images")
WIDTHS = (80, 120, 200)
TRIALS = 40
_ROWS = 52
"""Lines of an image: the fronts, and the first of what follows."""

_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Rich asks the network for its font; a monospace one of this machine will do."""


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/mnist.db"
        record = Study.open("mnist", backend="simulated", storage=url).run(trials=TRIALS).record
    drawings = list(_drawings(record))
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        with started as browser:
            page = browser.new_page()
            for width, drawing in zip(WIDTHS, drawings, strict=True):
                page.set_viewport_size({"width": 9 * width, "height": 900})
                page.set_content(f"<body style='margin:0'>{drawing}</body>")
                page.locator("svg").screenshot(path=IMAGES / f"terminal-{width}.png")


def _drawings(record: StudyRecord) -> Iterator[str]:
    for width in WIDTHS:
        console = Console(
            width=width, record=True, file=io.StringIO(), force_terminal=True, highlight=False
        )
        for _, line in zip(range(_ROWS), lines(study_blocks(record), width), strict=False):
            console.print(line, soft_wrap=True)
        yield _FONTS.sub("", console.export_svg(title=f"tune show, {width} columns"))


if __name__ == "__main__":
    main()

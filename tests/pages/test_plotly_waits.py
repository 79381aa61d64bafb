"""What a figure shows is worked out without Plotly, which only drawing needs."""

from __future__ import annotations

import subprocess
import sys

IMPORT_ALL = """
import importlib, pkgutil, sys
import tuner.pages, tuner.results
for package in (tuner.pages, tuner.results):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
print("plotly" in sys.modules)
"""


def test_no_page_or_answer_loads_plotly_before_it_draws() -> None:
    said = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], check=True, capture_output=True, text=True
    )
    assert said.stdout.strip() == "False"

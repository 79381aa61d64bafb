"""The page about the sampler for any Optuna study does what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import ExperimentalWarning

PAGE = Path(__file__).parents[2] / "docs/how-to/use-the-sampler.md"
BLOCKS = re.findall(r"(?s)```python\n(.*?)```", PAGE.read_text(encoding="utf-8"))


@pytest.mark.filterwarnings(f"ignore::{ExperimentalWarning.__module__}.ExperimentalWarning")
def test_its_examples_run_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, PAGE.name, "exec"), names)
    said = capsys.readouterr().out
    assert "'n': 3" in said
    assert re.search(r"[1-9]\d* trials on the front", said)

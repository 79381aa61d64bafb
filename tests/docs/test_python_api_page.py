"""The page about the Python API has the example as it stands, and every public method."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml

from tuner import Study

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs/how-to/python-api.md").read_text(encoding="utf-8")
EXAMPLE = CHECKOUT / "examples/explore_and_export.py"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    services = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]
    assert services
    front = capsys.readouterr().out.splitlines()
    assert front[0].split() == ["cpu", "memory", "replicas", "art_ms", "cpu_percent"]


def test_the_page_shows_the_example_as_it_is() -> None:
    assert f"```python\n{EXAMPLE.read_text(encoding='utf-8')}```" in PAGE


def test_the_page_names_what_a_study_has_and_nothing_else() -> None:
    named = set(re.findall(r"(?m)^\| `(?:Study\.)?(\w+)", PAGE))
    study = Study.open("mnist", backend="simulated")
    assert named == {name for name in dir(study) if not name.startswith("_")}

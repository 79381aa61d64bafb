"""The notebook page: every cell runs in order, and what a cell ends with can be displayed."""

from __future__ import annotations

import ast
import json
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/notebook.ipynb"
NOTEBOOK = json.loads(PAGE.read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> Any:  # noqa: ANN401 -- whatever a cell shows
    """The value of the cell's last expression, which Jupyter displays; None without one."""
    tree = ast.parse(source)
    *statements, last = tree.body
    shown = isinstance(last, ast.Expr)
    body = statements if shown else tree.body
    exec(compile(ast.Module(body, type_ignores=[]), PAGE.name, "exec"), names)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), PAGE.name, "eval"), names)


@pytest.mark.thorough
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in CELLS:
        source = "".join(cell["source"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Optuna's figures are experimental
            value = run_cell(source, names)
        if hasattr(value, "_repr_html_"):
            assert value._repr_html_(), source
    for file in ("mnist-report.html", "compose.yaml", "studies/mnist/results/simulated.db"):
        assert (tmp_path / file).stat().st_size > 0


def test_no_output_is_stored() -> None:
    assert len(CELLS) > 8
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS)

"""The architecture page shows the layers that import-linter checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs/explanation/architecture.md").read_text(encoding="utf-8")


def test_its_table_has_the_layers_of_the_contract_in_their_order() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c["type"] == "layers")
    expected = [set(re.findall(r"tuner\.(\w+)", layer)) for layer in layers]
    table = PAGE.partition("| room | holds |\n| --- | --- |\n")[2].partition("\n\n")[0]
    shown = [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table.splitlines()]
    assert shown == expected

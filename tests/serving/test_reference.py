"""docs/reference/server.md names a test for each behaviour, and these tests exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tuner.serving.server import flags

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "reference" / "server.md").read_text()
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


@cache
def names_in(name: str) -> set[str]:
    tree = ast.parse((HERE / name).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def tables() -> dict[str, list[list[str]]]:
    """The cells of each row, by the heading above the table."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in PAGE.splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        elif line.startswith("| ") and not line.startswith("| ---"):
            found.setdefault(heading, []).append([c.strip() for c in line.strip("|").split("|")])
    return {heading: rows[1:] for heading, rows in found.items()}


BEHAVIOURS = [
    (heading, row) for heading, rows in tables().items() if heading != "Flags" for row in rows
]


@pytest.mark.parametrize(("heading", "row"), BEHAVIOURS, ids=lambda value: str(value)[:60])
def test_every_behaviour_names_a_test_that_exists(heading: str, row: list[str]) -> None:
    named = NAMED.fullmatch(row[-1])
    assert named, f"{heading}: no test in {row}"
    assert named[2] in names_in(named[1])


def test_the_page_has_every_flag_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        flags.read(["--help"], {})
    offered = set(re.findall(r"--(\w+)", capsys.readouterr().out)) - {"help", "flag"}
    described = {name for row in tables()["Flags"] for name in re.findall(r"`(\w+)`", row[0])}
    assert described == offered

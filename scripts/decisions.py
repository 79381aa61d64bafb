"""Writes the table of docs/adr/README.md: `.venv/bin/python scripts/decisions.py`."""

from __future__ import annotations

import re
from pathlib import Path

DIRECTORY = Path(__file__).parent.parent / "docs" / "adr"
INDEX = DIRECTORY / "README.md"
TABLE = "| number | decision | status |\n| --- | --- | --- |\n"


def renewed(index: str) -> str:
    """The text of the index with a table that is current."""
    return index.partition(TABLE)[0] + TABLE + "".join(map(_row, sorted(DIRECTORY.glob("0*.md"))))


def _row(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    heading = re.match(r"# (\d+)\. (.+)\n", text)
    status = re.search(r"^Status: (.+)$", text, re.MULTILINE)
    if heading is None or status is None or int(heading[1]) != int(page.name[:4]):
        raise ValueError(f"{page.name}: begins with '# NUMBER. TITLE' and has a line 'Status: ...'")
    return f"| {heading[1]} | [{heading[2]}]({page.name}) | {status[1]} |\n"


if __name__ == "__main__":
    INDEX.write_text(renewed(INDEX.read_text(encoding="utf-8")), encoding="utf-8")

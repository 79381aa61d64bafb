"""The files and modules of the package that a page names, exist."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CONTRIBUTING.md",
    CHECKOUT / "benchmarks/README.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
]
PATH = re.compile(r"`((?:tuner|benchmarks|examples|scripts)/[\w/.-]+)`")
MODULE = re.compile(r"`(tuner(?:\.\w+)+)`")


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert is_there("tuner.errors.TuneError")
    assert not is_there("tuner.errors.Nothing")
    assert not is_there("tuner.nothing")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [path for path in PATH.findall(text) if not (CHECKOUT / path).exists()] == []
    assert [name for name in MODULE.findall(text) if not is_there(name)] == []

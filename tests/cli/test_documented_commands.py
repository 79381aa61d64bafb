"""Every command of `tune` in a block of README and docs is one that it understands."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from tuner import backends
from tuner.cli.app import app

CHECKOUT = Path(__file__).parents[2]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
ENDS = {"|", ">", ">>", "&&", ";", "&", "2>&1"}


def commands(text: str) -> Iterator[list[str]]:
    """The words after `tune`, up to what the shell does with its output."""
    for block in re.findall(r"(?ms)^ *```[a-z]*\n(.*?)^ *```", text):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?tune (.*)", line)
            if found is not None:
                words = shlex.split(found[1], comments=True)
                yield list(itertools.takewhile(lambda word: word not in ENDS, words))


def understood(words: list[str]) -> None:
    """Raises Typer's error for what the verb would refuse before it does anything."""
    command = typer.main.get_command(app)
    while words and isinstance(command, TyperGroup):
        command, words = command.commands[words[0]], words[1:]
    command.make_context("tune", words)


@pytest.fixture(autouse=True)
def _example_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page shows the backend that the example package adds."""
    names = (*backends.BACKENDS, "small-host")
    monkeypatch.setattr(backends, "backend_names", lambda: names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_the_commands_of_a_page_are_understood(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        try:
            understood(words)
        except (TyperException, KeyError) as error:
            pytest.fail(f"tune {shlex.join(words)}: {error!r}")


def test_the_pages_have_commands() -> None:
    assert sum(len([*commands(page.read_text(encoding="utf-8"))]) for page in PAGES) > 90


@pytest.mark.parametrize(
    "line", ["tune export --study mnist --when loss=0 concurrency=16", "tune shwo", "tune run -x"]
)
def test_a_command_that_is_none_would_be_found(line: str) -> None:
    (words,) = commands(f"```\n{line}  # so\n```\n")
    with pytest.raises((TyperException, KeyError)):
        understood(words)

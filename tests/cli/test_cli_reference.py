"""The reference of the command line is current, and every verb has an example that is one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer

from tuner.cli.app import app
from tuner.cli.reference import PAGE, Verb, renewed, verbs

CHECKOUT = Path(__file__).parents[2]
VERBS = list(verbs())


def test_the_page_is_current() -> None:
    page = (CHECKOUT / PAGE).read_text(encoding="utf-8")
    assert page == renewed(page), "run `python -m tuner.cli.reference`"


def test_the_page_has_every_verb_and_option() -> None:
    page = (CHECKOUT / PAGE).read_text(encoding="utf-8")
    names = [verb.name for verb in VERBS]
    assert {"tune run", "tune compare", "tune models add", "tune image build"} <= set(names)
    assert len(names) == len(set(names))
    for name in names:
        assert f"\n## `{name}`\n" in page
    for option in ("`--study, -s TEXT`", "`--json`", "`[OTHER]`", "`--warm-start STUDY`"):
        assert f"| {option} |" in page


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb.name))
def test_every_verb_has_an_example_that_it_understands(verb: Verb) -> None:
    assert verb.example is not None
    words = shlex.split(verb.example)
    name = verb.name.split()
    assert words[: len(name)] == name
    command = typer.main.get_command(app)
    for word in name[1:]:
        command = command.commands[word]  # type: ignore[attr-defined]
    # Reads the words as the verb would, and stops before it does anything.
    command.make_context(verb.name, words[len(name) :])


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: str(verb.name))
def test_the_first_line_of_the_help_is_a_sentence(verb: Verb) -> None:
    first = verb.paragraphs[0]
    assert first.endswith(".")
    assert "Example" not in first

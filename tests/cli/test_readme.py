from pathlib import Path

from tuner.cli.app import app
from tuner.cli.image import image
from tuner.cli.models import models

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readme_names_every_verb() -> None:
    for prefix, group in (("tune", app), ("tune image", image), ("tune models", models)):
        for command in group.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__
            assert f"{prefix} {name}" in README


def test_the_readme_states_every_exit_code() -> None:
    line = " ".join(README.partition("Exit codes:")[2].split("\n\n")[0].split())
    for code in ("0 done", "2 bad input", "3 nothing feasible", "130 interrupted"):
        assert code in line

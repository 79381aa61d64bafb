"""What bash, zsh and fish ask of `tune` when somebody presses the Tab key."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = "import sys; sys.argv[0] = 'tune'; from tuner.cli import main; main()"


NO_DETECTION = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
"""Then the options of Typer take a shell's name; else they look which one is running."""


def told(script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def completed(line: str, shell: str = "bash") -> list[str]:
    """The words that are offered at the end of `line`."""
    words = line.split(" ")
    asked = {"_TUNE_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        asked |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    else:
        asked |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    ended = told(SCRIPT, **asked)
    assert ended.stderr == ""
    return ended.stdout.splitlines()


@pytest.fixture(autouse=True)
def _study(_workplace: None) -> None:
    path = Path("studies/mine/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("")
    Path("old.study.zip").write_text("")


def test_studies_are_completed_yours_and_shipped() -> None:
    found = completed("tune run --study ")
    assert "mine" in found
    assert "mnist" in found
    assert "old.study.zip" not in found
    assert completed("tune run --study mi") == ["mine"]


def test_verbs_that_read_take_study_files() -> None:
    assert completed("tune show --study o") == ["old.study.zip"]
    assert completed("tune compare mine o") == ["old.study.zip"]


def test_verbs_options_choices_and_models_are_completed() -> None:
    assert completed("tune comp") == ["compare"]
    assert "--study" in completed("tune show --st")
    assert {"json", "compose", "study"} <= set(completed("tune export --format "))
    assert completed("tune run --backend s") == ["simulated", "swarm"]
    assert "mnist" in completed("tune models show ")


def test_zsh_and_fish_are_answered_in_their_ways() -> None:
    assert completed("tune run --study mi", "zsh") == ["_arguments '*: :((\"mine\"))'"]
    assert completed("tune run --study mi", "fish") == ["mine"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_shown(shell: str) -> None:
    ended = told(SCRIPT, "--show-completion", shell, **NO_DETECTION)
    assert ended.returncode == 0, ended.stderr
    assert "_TUNE_COMPLETE" in ended.stdout
    if shutil.which(shell):
        read = subprocess.run([shell, "-n"], input=ended.stdout, text=True, check=False)
        assert read.returncode == 0


@pytest.mark.parametrize(
    ("shell", "where"),
    [
        ("bash", ".bash_completions/tune.sh"),
        ("zsh", ".zfunc/_tune"),
        ("fish", ".config/fish/completions/tune.fish"),
    ],
)
def test_it_is_installed_where_the_shell_looks(shell: str, where: str, tmp_path: Path) -> None:
    ended = told(SCRIPT, "--install-completion", shell, HOME=str(tmp_path), **NO_DETECTION)
    assert ended.returncode == 0, ended.stderr
    assert "completion installed" in ended.stdout
    assert "_TUNE_COMPLETE" in (tmp_path / where).read_text()

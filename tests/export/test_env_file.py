from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.export.small import ANY_TEXT, IMAGE, NASTY, named, study, trial
from tuner.errors import InputError
from tuner.export.env import to_env
from tuner.export.served import served_by

PLAIN = re.compile("[a-zA-Z0-9_./:,@%+=-]*")


def as_an_engine_reads(text: str) -> dict[str, str]:
    """A line is a comment or NAME=VALUE, the value to the end of the line."""
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def as_a_shell_reads(text: str, directory: Path) -> dict[str, str]:
    (directory / "tune.env").write_text(text, newline="")
    script = "set -a; . ./tune.env; set +a; env -0"
    found = subprocess.run(
        ["sh", "-c", script],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    entries = (entry.partition("=") for entry in found.stdout.split("\0")[:-1])
    return {n: v for n, _, v in entries if n not in ("PATH", "PWD", "OLDPWD", "SHLVL", "_")}


def test_it_holds_configuration_flags_image_and_variables(tmp_path: Path) -> None:
    one = study(trial(0, 3.0, 30.0, configuration={"replicas": 2}))
    text = to_env(served_by(one, one.trials[0]))
    expected = {
        "TUNE_IMAGE": IMAGE,
        "TUNE_REST_PORT": "8501",
        "TUNE_GRPC_PORT": "8500",
        "TUNE_CONFIG_CONCURRENCY": "1",
        "TUNE_CONFIG_CPU": "1.0",
        "TUNE_CONFIG_MEMORY": "192",
        "TUNE_CONFIG_REPLICAS": "2",
        "TUNE_CONFIG_LOSS": "0.0",
        "TUNE_CONFIG_THREADS": "2",
        "TUNE_CONFIG_SALT": "a",
        "TUNE_FLAG_REST_API_NUM_THREADS": "4",
        "TUNE_FLAG_SESSION_THREADS": "2",
        "A": "1",
        "SALT": "a",
        "MODEL_NAME": "half_plus_two",
    }
    assert as_an_engine_reads(text) == expected
    assert as_a_shell_reads(text, tmp_path) == expected
    assert "# Units: cpu cores, memory MiB, loss %" in text


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANY_TEXT, ANY_TEXT | st.from_regex(PLAIN, fullmatch=True))
def test_both_readers_get_the_value_or_nobody_does(tmp_path: Path, name: str, value: str) -> None:
    found = named(name, "m", value)
    if PLAIN.fullmatch(value):
        text = to_env(served_by(found, found.trials[0]))
        assert as_an_engine_reads(text) == as_a_shell_reads(text, tmp_path)
        assert as_an_engine_reads(text)["SALT"] == value
    else:
        with pytest.raises(InputError, match="differently"):
            to_env(served_by(found, found.trials[0]))


@pytest.mark.parametrize("text", NASTY)
def test_what_a_shell_would_act_upon_is_refused_and_a_name_is_a_comment(
    text: str, tmp_path: Path
) -> None:
    in_value = named("a", "m", text)
    if text in ("", "null", "--privileged", "-e"):
        assert (
            as_a_shell_reads(to_env(served_by(in_value, in_value.trials[0])), tmp_path)["SALT"]
            == text
        )
    else:
        with pytest.raises(InputError, match="read"):
            to_env(served_by(in_value, in_value.trials[0]))
    in_name = named(text, "m", "a")
    assert "SALT" in as_a_shell_reads(to_env(served_by(in_name, in_name.trials[0])), tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "IFS", "BASH_ENV", "DOCKER_HOST"])
def test_a_variable_that_changes_the_shell_itself_is_refused(name: str) -> None:
    changed = replace(study(trial(0, 3.0, 30.0)), serving={"env": {name: "x"}})
    with pytest.raises(InputError, match=name):
        to_env(served_by(changed, changed.trials[0]))


def test_a_name_that_stands_for_two_things_is_refused() -> None:
    one = replace(study(trial(0, 3.0, 30.0)), serving={"env": {"TUNE_CONFIG_CPU": "4"}})
    with pytest.raises(InputError, match="would have the name TUNE_CONFIG_CPU"):
        to_env(served_by(one, one.trials[0]))

from __future__ import annotations

import csv
import io
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.export.small import ANY_TEXT, IMAGE, NASTY, named, study, trial
from tuner.errors import InputError
from tuner.export.docker_run import to_docker_run
from tuner.export.served import served_by
from tuner.measure.record import StudyRecord

VERSIONS = Path("/versions")

# Counts, then the words: so an empty word or one with a line break stays what it is.
DOCKER = """\
#!/bin/sh
case "$1 $2" in
  "container inspect" | "network inspect")
    [ -n "${THERE-}" ] || exit 1
    printf '%s\\n' "$THERE"
    exit
    ;;
esac
printf '%s\\0' "$#" "$@" >> "$LOG"
case $1 in
  port) echo 127.0.0.1:40001 ;;
  ps) echo 0a1b; echo 2c3d ;;
  network) [ "$2" != ls ] || echo 4e5f ;;
esac
"""
CURL = '#!/bin/sh\nfor word; do :; done\necho "$word" >> "$ASKED"\necho AVAILABLE\n'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory of commands that note what they are asked."""
    for name, text in (("docker", DOCKER), ("curl", CURL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(
    tools: Path, script: str, *arguments: str, there: str = "", label: str = ""
) -> tuple[list[list[str]], subprocess.CompletedProcess[str]]:
    """The commands that the engine got, and how the script ended."""
    log, file = tools / "log", tools / "run.sh"
    log.unlink(missing_ok=True)
    file.write_text(script, newline="")
    ended = subprocess.run(
        ["sh", str(file), *arguments],
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "LOG": str(log),
            "ASKED": str(tools / "asked"),
            **({"THERE": there} if there else {}),
            **({"TUNE_LABEL": label} if label else {}),
        },
        cwd=tools,
        capture_output=True,
        text=True,
        check=False,
    )
    return _commands(log.read_bytes() if log.exists() else b""), ended


def _commands(noted: bytes) -> list[list[str]]:
    words = iter(noted.decode().split("\0")[:-1])
    return [[next(words) for _ in range(int(count))] for count in words]


def started(commands: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    return [c for c in commands if c[0] == "run"]


def after(words: Sequence[str], option: str) -> list[str]:
    """The values of an option, up to the end of the options."""
    options = words[: words.index("--")]
    return [options[i + 1] for i, word in enumerate(options) if word == option]


TWO = study(trial(7, 3.0, 30.0, configuration={"replicas": 2, "cpu": 0.5}))
SCRIPT = to_docker_run(served_by(TWO, TWO.trials[0]), VERSIONS, first_port=9000)


def test_up_makes_a_network_and_limited_hardened_replicas_and_waits(tools: Path) -> None:
    commands, ended = run(tools, SCRIPT)
    assert ended.returncode == 0, ended.stderr
    assert commands[0][:2] == ["network", "create"]
    network = commands[0][-1]
    first, second = started(commands)
    assert [after(c, "--publish") for c in (first, second)] == [
        ["127.0.0.1:9000:8501", "127.0.0.1:8998:8500"],
        ["127.0.0.1:9001:8501", "127.0.0.1:8999:8500"],
    ]
    assert after(first, "--network") == [network]
    assert after(first, "--cpus") == ["0.5"]
    assert after(first, "--memory") == after(first, "--memory-swap") == ["192m"]
    assert after(first, "--pids-limit") == ["1024"]
    assert after(first, "--user") == ["65534:65534"]
    assert after(first, "--cap-drop") == ["ALL"]
    assert after(first, "--security-opt") == ["no-new-privileges:true"]
    assert after(first, "--ipc") == ["none"]
    assert after(first, "--sysctl") == ["net.ipv4.ip_unprivileged_port_start=1024"]
    assert "--read-only" in first
    assert after(first, "--mount") == [
        "type=bind,source=/versions,target=/models/half_plus_two,readonly"
    ]
    assert after(first, "--env") == ["A=1", "SALT=a", "MODEL_NAME=half_plus_two"]
    assert list(first[first.index("--") + 1 :]) == [
        IMAGE,
        "--rest_api_num_threads=4",
        "--session_threads=2",
    ]
    assert (tools / "asked").read_text().split() == [
        "http://127.0.0.1:9000/v1/models/half_plus_two",
        "http://127.0.0.1:9001/v1/models/half_plus_two",
    ]


def test_up_again_starts_what_is_there_and_makes_nothing(tools: Path) -> None:
    first = started(run(tools, SCRIPT)[0])[0]
    digest = next(
        v.partition("=")[2] for v in after(first, "--label") if v.startswith("tune.export.file=")
    )
    commands, ended = run(tools, SCRIPT, "up", there=digest)
    assert ended.returncode == 0, ended.stderr
    assert [c[0] for c in commands] == ["start", "start"]


def test_a_container_of_another_file_is_left_alone(tools: Path) -> None:
    commands, ended = run(tools, SCRIPT, there="of-another-file")
    assert (commands, ended.returncode) == ([], 1)
    assert "take it down first" in ended.stderr


def test_down_removes_what_carries_the_label(tools: Path) -> None:
    commands, ended = run(tools, SCRIPT, "down")
    assert ended.returncode == 0, ended.stderr
    assert [c[-1] for c in commands if c[:2] in (["rm", "-f"], ["network", "rm"])] == [
        "0a1b",
        "2c3d",
        "4e5f",
    ]
    filters = {c[-1] for c in commands if "--filter" in c}
    assert filters == {"label=tune.export=tune-small-7"}


def test_a_dry_run_prints_what_a_run_would_do_and_does_nothing(tools: Path) -> None:
    nasty = named("a", "m", NASTY[0] + NASTY[3], replicas=2)
    script = to_docker_run(served_by(nasty, nasty.trials[0]), VERSIONS)
    commands, ended = run(tools, script, "--dry-run")
    assert (commands, ended.returncode) == ([], 0)
    printed, _ = run(tools, ended.stdout)
    assert printed == [c for c in run(tools, script)[0] if c[0] in ("run", "network")]
    assert len(started(printed)) == 2


def test_a_label_of_the_caller_is_on_everything(tools: Path) -> None:
    commands, _ = run(tools, SCRIPT, label="a b=$c")
    assert all("a b=$c" in c for c in commands if c[0] == "run" or c[:2] == ["network", "create"])


def test_an_unknown_action_is_refused(tools: Path) -> None:
    commands, ended = run(tools, SCRIPT, "upp")
    assert (commands, ended.returncode) == ([], 2)
    assert "usage: sh" in ended.stderr


def test_a_grpc_replica_is_asked_for_its_status_on_the_rest_port(tools: Path) -> None:
    grpc = study(replace(trial(0, 3.0, 30.0), deployment={"protocol": "grpc"}))
    script = to_docker_run(served_by(grpc, grpc.trials[0]), VERSIONS, first_grpc_port=7000)
    commands, ended = run(tools, script)
    assert ended.returncode == 0, ended.stderr
    (only,) = started(commands)
    assert after(only, "--publish") == ["127.0.0.1:8501:8501", "127.0.0.1:7000:8500"]
    assert (tools / "asked").read_text().split() == [
        "http://127.0.0.1:8501/v1/models/half_plus_two"
    ]


def test_a_name_of_the_users_names_network_and_containers(tools: Path) -> None:
    script = to_docker_run(served_by(TWO, TWO.trials[0]), VERSIONS, name="digits")
    commands, ended = run(tools, script)
    assert ended.returncode == 0, ended.stderr
    assert commands[0][-1] == "digits"
    assert [after(c, "--name") for c in started(commands)] == [["digits-0"], ["digits-1"]]


def check_words(tools: Path, found: StudyRecord, value: str, versions: Path) -> None:
    script = to_docker_run(served_by(found, found.trials[0]), versions)
    assert subprocess.run(["sh", "-n"], input=script.encode(), check=False).returncode == 0
    commands, ended = run(tools, script)
    assert ended.returncode == 0, ended.stderr
    (only,) = started(commands)
    assert after(only, "--env") == [f"SALT={value}", f"MODEL_NAME={found.model}"]
    rest = list(only[only.index("--") + 1 :])
    assert rest == [IMAGE, f"--text={value}", "--session_threads=2"]
    (mount,) = csv.reader(io.StringIO(after(only, "--mount")[0], newline=""))
    assert mount == [
        "type=bind",
        f"source={versions.resolve()}",
        f"target=/models/{found.model}",
        "readonly",
    ]
    assert not (tools / "pwned").exists()


@pytest.mark.parametrize("text", NASTY)
def test_nothing_that_a_user_wrote_is_run(tools: Path, text: str) -> None:
    check_words(tools, named(text, text, text), text, Path(f"/{text}"))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_the_engine_gets_exactly_the_words(tools: Path, name: str, model: str, value: str) -> None:
    check_words(tools, named(name, model, value), value, VERSIONS)


def test_what_no_process_can_be_given_is_refused() -> None:
    found = named("a", "m", "a\0b")
    with pytest.raises(InputError, match="NUL"):
        to_docker_run(served_by(found, found.trials[0]), VERSIONS)

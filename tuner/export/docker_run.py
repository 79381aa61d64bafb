"""One configuration as a POSIX shell script around `docker run`."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from tuner.export.header import header, metrics_note, model_note, needs_image
from tuner.export.names import docker_name
from tuner.export.published import FIRST_PORT, published_ports
from tuner.export.served import Served
from tuner.results.predicted_front import Predicted
from tuner.serving.container_plan import IPC_MODE, PIDS_LIMIT

SCRIPT_LABEL = "tune.export"
"""Label of the network and the containers of a script; its value is the script's project."""

_SAME_FOR_ALL = Path(__file__).with_name("docker_run.sh")

_PATIENCE = 2
"""How many times longer than measured a replica may take: production may be busier."""


def to_docker_run(
    served: Served,
    model_versions: Path | None,
    first_port: int = FIRST_PORT,
    predicted: Predicted | None = None,
    *,
    first_grpc_port: int | None = None,
    name: str | None = None,
) -> str:
    """A script that starts the replicas of `served` (`up`) or removes them (`down`).

    `name` begins the names of containers and names their network; by default it is made from the
    study's name and the trial. Replica i answers on the ports i of `published_ports`. `up` may be
    run again. `--dry-run` prints the commands instead of running them. All words are quoted. The
    variable `TUNE_LABEL` adds one more label to everything that the script makes. Raises InputError
    where the ports do not exist.
    """
    ports = published_ports(
        served.replicas, first_port, first_grpc_port, speaks_grpc=served.plan.grpc_port is not None
    )
    project = name or f"tune-{docker_name(served.study.name)}-{served.trial.number}"
    published = [ports.of(i, served.plan) for i in range(served.replicas)]
    runs = [_run(served, model_versions, project, entrances) for entrances in published]
    content = hashlib.sha256(json.dumps(runs).encode()).hexdigest()[:12]
    notes = [
        *ports.notes(),
        needs_image(served),
        *metrics_note(served),
        *model_note(model_versions),
        "sh FILE [up] starts the replicas and waits until they are ready; sh FILE down removes",
        "them; --dry-run prints the commands instead. Needs docker, and curl or wget.",
    ]
    starts = [f"start {_words([_name(project, i), *words])}" for i, words in enumerate(runs)]
    ready = served.plan.ready
    waits = [
        f"wait_for {_words([_name(project, i), str(port), ready.path, ready.pattern])}"
        for i, port in enumerate(ports.rest)
    ]
    settings = [
        "set -eu",
        "",
        f"project={shlex.quote(project)}",
        f"file={content}",
        f"seconds={int(_PATIENCE * max(served.ready_seconds, 1))}",
        "",
        *_function("replicas", starts),
        *_function("await", waits),
    ]
    top = header(served, predicted, notes)
    return f"#!/bin/sh\n{top}\n" + "\n".join(settings) + f"\n{_SAME_FOR_ALL.read_text()}"


def _name(project: str, index: int) -> str:
    return f"{project}-{index}"


def _function(name: str, commands: Sequence[str]) -> list[str]:
    # Not indented, because a quoted word may have several lines.
    return [f"{name}() {{", *commands, "}", ""]


def _run(
    served: Served, versions: Path | None, project: str, entrances: Sequence[str]
) -> list[str]:
    """The words after `docker run -d` and the labels. `--` ends the options."""
    plan, memory = served.plan, f"{served.memory_mib}m"
    words = [
        *("--network", project),
        *(word for entrance in entrances for word in ("--publish", entrance)),
        *("--restart", "unless-stopped"),
        *("--cpus", f"{served.cpu:.9g}"),
        *("--memory", memory),
        *("--memory-swap", memory),
        *("--pids-limit", str(PIDS_LIMIT)),
        *("--user", plan.user),
        "--read-only",
        *("--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges:true"),
        *("--ipc", IPC_MODE),
        *(word for name, value in plan.sysctls.items() for word in ("--sysctl", f"{name}={value}")),
    ]
    if versions is not None:
        words += ["--mount", _mount(versions.resolve(), str(plan.model_mount))]
    for path, options in plan.tmpfs.items():
        words += ["--tmpfs", f"{path}:{options}"]
    for name, value in plan.environment.items():
        words += ["--env", f"{name}={value}"]
    if plan.entrypoint is not None:
        words += ["--entrypoint", plan.entrypoint[0]]
    rest = plan.entrypoint[1:] if plan.entrypoint else ()
    return [*words, "--", plan.image, *rest, *plan.command]


def _mount(source: Path, target: str) -> str:
    """The engine's command reads this word as a line of CSV."""
    line = io.StringIO()
    csv.writer(line).writerow(["type=bind", f"source={source}", f"target={target}", "readonly"])
    return line.getvalue().removesuffix("\r\n")


def _words(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))

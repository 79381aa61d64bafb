"""What verbs may be given: options that several of them share, and the names that these take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.completion import finished_names, study_names


class BackendChoice(StrEnum):
    docker = "docker"
    simulated = "simulated"
    replay = "replay"


class Sampler(StrEnum):
    bayes = "bayes"
    tpe = "tpe"
    gp = "gp"
    nsga2 = "nsga2"
    random = "random"
    qmc = "qmc"
    grid = "grid"


class Format(StrEnum):
    json = "json"
    yaml = "yaml"
    csv = "csv"
    compose = "compose"
    kubernetes = "kubernetes"
    docker_run = "docker-run"
    env = "env"
    replay = "replay"
    study = "study"


class ImageFormat(StrEnum):
    svg = "svg"
    png = "png"


StudyOption = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a study, or the path of its study.yaml.",
        autocompletion=study_names,
    ),
]
FinishedOption = Annotated[
    str,
    typer.Option(
        "--study",
        "-s",
        help="Name of a study, the path of its study.yaml, or a study file (NAME.study.zip).",
        autocompletion=finished_names,
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Optuna storage URL. [default: SQLite in studies/NAME/results]",
        show_default=False,
    ),
]
BackendOption = Annotated[
    BackendChoice,
    typer.Option(
        "--backend",
        help="Real containers, a computed host or a recorded grid (both clearly labelled).",
    ),
]
GridOption = Annotated[
    Sampler | None,
    typer.Option("--sampler", help="grid: of the full grid, which has a database of its own."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write. [default: standard output]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

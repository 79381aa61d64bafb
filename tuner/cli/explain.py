"""`tune explain`: which parameters matter, and how."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli.options import (
    DEFAULT_BACKEND,
    BackendOption,
    FinishedOption,
    JsonOption,
    StorageOption,
    opened,
)
from tuner.cli.output import print_json


def explain(
    study: FinishedOption,
    objective: Annotated[
        str | None,
        typer.Option(
            help="Explain this objective only, such as art_ms. [default: all]", show_default=False
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Fix a parameter at a value, such as loss=0. May be given several times.",
        ),
    ] = None,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    as_json: JsonOption = False,
) -> None:
    """Explain which parameters matter, and how each objective depends on them.

    Example: tune explain --study mnist --at loss=0
    """
    from tuner.pages.explanation import explanation_blocks
    from tuner.render.terminal import show

    explanation = opened(study, storage, backend).explain(objective, at or [])
    if as_json:
        print_json(explanation.to_json())
    else:
        show(*explanation_blocks(explanation))

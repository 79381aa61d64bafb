"""`tune init`: a new study."""

from __future__ import annotations

from typing import Annotated

import typer

from tuner.cli.completion import model_names


def init(
    name: Annotated[str, typer.Argument(help="Name of the new study.")],
    model: Annotated[
        str, typer.Option(help="The model that it serves.", autocompletion=model_names)
    ] = "mnist",
) -> None:
    """Write a commented study to start from, into studies/ and search_spaces/.

    Example: tune init mine --model mnist
    """
    from tuner.spec.scaffold import scaffold

    for path in scaffold(name, model=model):
        print(f"wrote {path}")
    print(f"next: tune plan --study {name}")

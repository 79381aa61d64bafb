"""`tune compare`: two studies side by side, or a study beside its full grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuner.cli.completion import finished_names
from tuner.cli.options import DEFAULT_BACKEND, BackendOption, JsonOption, StorageOption, opened
from tuner.cli.output import print_json, write_text

if TYPE_CHECKING:
    from tuner.api import Study


def compare(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY",
            help="Name of a study, path of its study.yaml, a study file, or URL#NAME (a storage and"
            " the study in it).",
            autocompletion=finished_names,
        ),
    ],
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="OTHER",
            help="The study to compare it with. Without it: the study's full grid.",
            show_default=False,
            autocompletion=finished_names,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Without OTHER, the grid to compare with: grid (the study's own), FILE.parquet"
            " (from tune export --format replay), another study's name, or a storage URL (URL#NAME"
            " for a study in it). [default: grid]",
            show_default=False,
        ),
    ] = None,
    storage: StorageOption = None,
    backend: BackendOption = DEFAULT_BACKEND,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="With OTHER: also write an HTML page to this file."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two studies (two models, two hosts, before and after), or a study with its full grid.

    With OTHER: what differs between the two, how many times STUDY's value OTHER has in each
    configuration that both measured, whether that is more than noise, and both fronts. Without:
    how good the fronts of STUDY are by what the full grid measured.

    Example: tune compare before.study.zip after.study.zip --output change.html
    """
    from tuner.errors import InputError
    from tuner.render.terminal import show

    first = _side(study, storage, backend)
    if other is None:
        if output is not None:
            raise InputError("--output is for two studies", "name the other one, too")
        from tuner.pages.grid_comparison import grid_comparison_blocks

        comparison = first.against_grid(against or "grid")
        if as_json:
            print_json(comparison.to_json())
        else:
            show(*grid_comparison_blocks(first.record, comparison))
        return
    if against is not None:
        raise InputError("--against is for one study and a grid", f"leave it, or leave {other}")
    from tuner.pages.comparison import comparison_page
    from tuner.results.two_studies import two_studies_document

    both = first.compare(_side(other, storage, backend))
    if as_json:
        print_json(two_studies_document(both))
    else:
        show(comparison_page(both))
    if output is not None:
        from tuner.render.html import to_html

        write_text(to_html(comparison_page(both)), output)


def _side(name: str, storage: str | None, backend: str) -> Study:
    """One of two studies: by name, by path, or in a storage (URL#NAME). Raises InputError."""
    from tuner.errors import InputError

    if "://" not in name:
        return opened(name, storage, backend)
    url, _, study = name.partition("#")
    if not study:
        from tuner.study.storage_url import without_password

        shown = without_password(url)
        raise InputError(f"{shown}: expected the study's name after #", f"such as {shown}#mnist")
    return opened(study, url, backend)

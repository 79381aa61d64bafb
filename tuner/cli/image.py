"""`tune image`: the serving image."""

from __future__ import annotations

from typing import Annotated

import typer

image = typer.Typer(help="Build the serving image.", no_args_is_help=True, rich_markup_mode=None)


@image.command("build")
def build(
    base: Annotated[
        str,
        typer.Option(
            help="Where the base image comes from: pull (a registry), bootstrap (debootstrap, needs"
            " root), or auto (whichever works)."
        ),
    ] = "auto",
    server: Annotated[
        str, typer.Option(help="The server whose image is built.")
    ] = "tensorflow-serving",
) -> None:
    """Build the serving image on this machine's Docker Engine, unless it is there.

    Example: tune image build --base bootstrap
    """
    from tuner.deploy.docker_engine import connect
    from tuner.errors import InputError
    from tuner.serving.image import build_image
    from tuner.serving.servers.table import server_named

    if base not in ("auto", "pull", "bootstrap"):
        raise InputError(f"--base {base!r} is unknown", "give auto, pull or bootstrap")
    recipe = server_named(server).image
    if recipe is None:
        raise InputError(f"tune builds no image for the server {server!r}", "name its own image")
    with connect() as client:
        print(build_image(client, print, base, recipe))  # type: ignore[arg-type] # checked above

"""The images that tune builds for servers: their references, their build, and how to find them.

A tag is a hash of everything that goes into the image. So a change of the server, of a locked wheel
or of the recipe gives another image. They are never pushed or pulled.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from docker import DockerClient
from docker.errors import BuildError

from tuner.errors import SetupError
from tuner.serving.base import SCRATCH, Base, Say, base_tag, build_base, image_exists
from tuner.serving.wheels import REQUIREMENTS, download_wheels, kept_members

__all__ = ["TENSORFLOW", "ImageRecipe", "base_tag", "build_image", "find_image", "image_tag"]

_ARCHITECTURE = "amd64"  # the only one with a tensorflow-cpu wheel


@dataclass(frozen=True)
class ImageRecipe:
    """An image of the base, locked wheels and a program of this package.

    `server` is the name of the server that it is for. In `dockerfile`, `{base}` stands for the base
    image. Its context has the wheels' files in `wheels/`, those of `program`, by their path there,
    in `server/`. `requirements` is the lock of the wheels.
    """

    server: str
    repository: str
    dockerfile: str
    requirements: Path
    program: Callable[[], Mapping[str, Path]] = dict


_TENSORFLOW_DOCKERFILE = """\
FROM {base}
# Bytecode now: the root file system is read-only when it runs. The server is a layer of its own, so
# that its versions share the wheels.
COPY wheels /opt/tfserver
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/tfserver
COPY server /opt/tfserver/tfserver
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/tfserver/tfserver
ENV PYTHONPATH=/opt/tfserver \\
    PYTHONDONTWRITEBYTECODE=1 \\
    TF_CPP_MIN_LOG_LEVEL=2 \\
    OPENBLAS_NUM_THREADS=1
USER 65534:65534
EXPOSE 8500 8501
ENTRYPOINT ["python3", "-m", "tfserver"]
"""


def _tensorflow_program() -> Mapping[str, Path]:
    """The files of tune's server of SavedModels."""
    directory = Path(__file__).with_name("server")
    return {path.name: path for path in directory.iterdir() if path.suffix in {".py", ".proto"}}


TENSORFLOW = ImageRecipe(
    "tensorflow-serving",
    "tune-serving",
    _TENSORFLOW_DOCKERFILE,
    REQUIREMENTS,
    _tensorflow_program,
)
"""The image of tune's server of SavedModels."""


def image_tag(recipe: ImageRecipe = TENSORFLOW) -> str:
    """The reference of the image for this version of program, wheels and base."""
    content = hashlib.sha256(recipe.dockerfile.format(base=base_tag()).encode())
    wheels = Path(__file__).with_name("wheels.py")
    files = {**{path.name: path for path in (recipe.requirements, wheels)}, **recipe.program()}
    for name, path in sorted(files.items()):
        content.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{recipe.repository}:{content.hexdigest()[:12]}"


def find_image(client: DockerClient, recipe: ImageRecipe = TENSORFLOW) -> str:
    """The image's reference. Raises SetupError where it is not built yet."""
    tag = image_tag(recipe)
    if not (image_exists(client, tag) and image_exists(client, base_tag())):
        which = "" if recipe.server == TENSORFLOW.server else f" --server {recipe.server}"
        raise SetupError(
            f"the serving image {tag} is not on this engine", f"tune image build{which}"
        )
    return tag


def build_image(
    client: DockerClient, say: Say, base: Base = "auto", recipe: ImageRecipe = TENSORFLOW
) -> str:
    """Build base and image where they are missing, and return the image's reference.

    `say` gets each step when it begins. `base` says where the base comes from: `pull` from a
    registry, `bootstrap` from Debian packages, `auto` for whichever works. Only a complete image
    gets a tag. Raises SetupError where something that the build needs is missing.
    """
    tag = image_tag(recipe)
    if image_exists(client, tag) and image_exists(client, base_tag()):
        say(f"serving image {tag} is already built")
        return tag
    architecture = client.version()["Arch"]
    if architecture != _ARCHITECTURE:
        raise SetupError(
            f"the serving image can be built for {_ARCHITECTURE} only, but this engine is "
            f"{architecture}",
            "set `serving.image` in the study to an image of the server for it",
        )
    began = time.monotonic()
    parent = build_base(client, say, base)
    with tempfile.TemporaryDirectory(prefix="tune-image-", dir=SCRATCH) as scratch:
        say("downloading the locked wheels")
        wheels = download_wheels(Path(scratch), recipe.requirements)
        say(f"building {tag}")
        with tempfile.TemporaryFile(dir=SCRATCH) as context:
            _write_context(context, recipe, parent, wheels)
            context.seek(0)
            try:
                client.images.build(
                    fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True
                )
            except BuildError as error:
                raise SetupError(
                    f"the serving image could not be built: {error.msg}",
                    "look into the engine's log, then run `tune image build` again",
                ) from error
    say(f"serving image {tag} built in {time.monotonic() - began:.0f} s")
    return tag


def _write_context(
    context: IO[bytes], recipe: ImageRecipe, parent: str, wheels: list[Path]
) -> None:
    """Write the build context: the Dockerfile, the program and the wheels' files."""
    with tarfile.open(fileobj=context, mode="w") as archive:
        dockerfile = recipe.dockerfile.format(base=parent).encode()
        _add(archive, "Dockerfile", io.BytesIO(dockerfile), len(dockerfile))
        for name, path in sorted(recipe.program().items()):
            with path.open("rb") as file:
                _add(archive, f"server/{name}", file, path.stat().st_size)
        for path in wheels:
            with zipfile.ZipFile(path) as wheel:
                for member in kept_members(wheel):
                    with wheel.open(member) as content:
                        _add(archive, f"wheels/{member.filename}", content, member.file_size)


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    # Owner root, mode 0644, time 0: the same content is the same layer.
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    archive.addfile(info, content)

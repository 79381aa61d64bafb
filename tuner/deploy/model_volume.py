"""Brings a model's files to an engine that cannot mount this machine's disk."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from docker import DockerClient

from tuner.deploy.ownership import remove_container, remove_volume
from tuner.serving.base import SCRATCH


@contextmanager
def model_volume(
    client: DockerClient,
    image: str,
    versions: Path,
    labels: Mapping[str, str],
    name: str | None = None,
) -> Iterator[str]:
    """The name of a volume with the files in `versions`, readable by all; removed at the end.

    The engine chooses the name where none is given.

    A container of `image`, which the engine must have, carries the files there. It is never
    started.
    """
    volume = client.volumes.create(name=name, labels=dict(labels))
    try:
        carrier = client.containers.create(
            image,
            entrypoint=["true"],
            command=[],
            volumes={str(volume.name): {"bind": "/model", "mode": "rw"}},
            network_mode="none",
            labels=dict(labels),
        )
        try:
            with tempfile.TemporaryFile(dir=SCRATCH) as packed:
                with tarfile.open(fileobj=packed, mode="w") as archive:
                    archive.add(versions, arcname=".", filter=_readable)
                packed.seek(0)
                carrier.put_archive("/model", packed)
        finally:
            remove_container(carrier)
        yield str(volume.name)
    finally:
        remove_volume(volume)


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry as root's file that everyone may read, since replicas run as nobody."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry

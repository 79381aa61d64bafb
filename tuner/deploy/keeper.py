"""The container that owns the page cache of image and model.

File pages are charged to the control group that touched them first. Without an owner the same
memory limit is ample or hopeless depending on which container ran before. The keeper has no
memory limit and reads everything first, so that each replica pays for its own memory only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient
from docker.models.containers import Container

from tuner.deploy.ownership import remove_container
from tuner.errors import SetupError

_READ_ALL = """\
find / -xdev -type f -exec cat {} + >/dev/null 2>&1
find "$0" -type f -exec cat {} + >/dev/null
"""
"""The image's own files, some of which only root may read, then the model's (a mount, which
`-xdev` leaves out): those must all be readable."""


@dataclass(frozen=True)
class Keeper:
    """A running keeper; `read` is to be called before the first deployment and after evictions."""

    container: Container
    model_mount: str

    def read(self) -> None:
        """Read every file of image and model. Raises SetupError when the model cannot be read."""
        code, output = self.container.exec_run(["sh", "-c", _READ_ALL, self.model_mount])
        assert isinstance(output, bytes)
        if code != 0:
            raise SetupError(
                f"the model cannot be read inside a container: {output.decode(errors='replace')}",
                "check the permissions of the model's files",
            )


@contextmanager
def keeper(
    client: DockerClient,
    image: str,
    mounts: Mapping[str, dict[str, str]],
    model_mount: str,
    user: str,
    labels: Mapping[str, str],
) -> Iterator[Keeper]:
    """A keeper that has read everything once, as `user`; removed at the end of the block."""
    container = client.containers.create(
        image,
        entrypoint=["sleep", "infinity"],
        command=[],
        volumes=dict(mounts),
        user=user,
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        labels=dict(labels),
    )
    try:
        container.start()
        found = Keeper(container, model_mount)
        found.read()
        yield found
    finally:
        remove_container(container)


def drop_page_cache() -> None:
    """Make the next reader pay for every page. Raises SetupError where the host does not allow it.

    See `drop_caches` in the kernel's Documentation/admin-guide/sysctl/vm.rst.
    """
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError as error:
        raise SetupError(
            f"the page cache cannot be dropped: {error}",
            "run as root, or set `serving.page_cache: shared` in the study",
        ) from error

"""The container that owns the page cache of image and model.

The kernel charges a file's pages to the control group that touched them first. Without a keeper
the same memory limit is ample or hopeless, depending on which container ran before. The keeper has
no memory limit and reads everything first, so each replica pays only for its own memory.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container

from tuner.deploy.ending import FIND_IT, SIGNALLED
from tuner.deploy.helper import execute
from tuner.deploy.ownership import remove_container
from tuner.errors import SetupError
from tuner.serving.container_plan import IPC_MODE, PIDS_LIMIT

_READ_ALL = """\
(while sleep 5 </dev/null >/dev/null 2>&1; do echo; done) &
find / -xdev -type f -exec cat {} + >/dev/null 2>&1
code=0
if [ -n "$0" ]; then find "$0" -type f -exec cat {} + >/dev/null; code=$?; fi
kill $!
exit $code
"""
"""Reads the image's own files, some of which only root may read, then the model's files, which must
all be readable. They are a mount, so `-xdev` leaves them out. A line every 5 s says that it goes
on: large files take longer than an engine may be silent."""


_KILLED = {SIGNALLED + signal.SIGKILL, SIGNALLED + signal.SIGTERM}
"""The exit codes of a shell that was killed, alone or with its container."""


@dataclass(frozen=True)
class Keeper:
    """A running keeper. Call `read` before the first deployment and after evictions."""

    container: Container
    model_mount: str | None

    def read(self) -> None:
        """Read every file of image and model. Raises SetupError where the model cannot be read."""
        code, _, errors = execute(self.container, ["sh", "-c", _READ_ALL, self.model_mount or ""])
        if code in _KILLED:
            raise SetupError(
                "something else ended the container that reads the model and its image",
                f"{FIND_IT} Then run again.",
            )
        if code != 0:
            raise SetupError(
                f"the model cannot be read inside a container: {errors.strip()}",
                "check the permissions of the model's files",
            )


@contextmanager
def keeper(
    client: DockerClient,
    image: str,
    mounts: Mapping[str, dict[str, str]],
    model_mount: str | None,
    user: str,
    labels: Mapping[str, str],
) -> Iterator[Keeper]:
    """A keeper that runs as `user` and has read everything once. It is removed at the end."""
    container = client.containers.create(
        image,
        entrypoint=["sleep", "infinity"],
        command=[],
        volumes=dict(mounts),
        user=user,
        network_mode="none",
        ipc_mode=IPC_MODE,
        pids_limit=PIDS_LIMIT,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        stop_signal="SIGKILL",  # as the first process of its namespace it is deaf to others
        labels=dict(labels),
    )
    try:
        try:
            container.start()
        except APIError as error:
            raise SetupError(
                f"the keeper of the page cache does not start in {image}: {error.explanation}",
                "the image lacks sh, sleep, find or cat: describe it in model.yaml by hand, and set"
                " `serving.page_cache: private` in the study",
            ) from error
        started = Keeper(container, model_mount)
        started.read()
        yield started
    finally:
        remove_container(container)


def drop_page_cache() -> None:
    """Empty the page cache, so that the next reader pays for every page.

    Raises SetupError where this process may not.

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
